// The application of the demonstration: the code flow with PKCE (RFC 7636), as a browser application has to do it. Its tokens are
// in memory and nowhere else; the verifier, which has to outlive the way to /authorize and back, is in the tab's session storage.
'use strict';

const demo = document.getElementById('demo');
const { base, client, scope } = demo.dataset;
const redirectUri = location.origin + base + '/demo';
const KEPT = 'symbolon-demo';

let tokens;

const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** Shows what was sent and what came back. */
function show(step, ...texts) {
  const element = document.getElementById(step + '-exchange');
  element.textContent = texts.join('\n\n');
  element.hidden = false;
}

const asForm = (fields) => Object.entries(fields).map(([name, value]) => `${name}=${value}`).join('\n  &');

async function answerOf(response) {
  const text = await response.text();
  let body = text;
  try {
    body = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // It is not JSON; an empty body, say.
  }
  return `HTTP ${response.status}\n${body}`.trim();
}

async function post(path, fields) {
  const response = await fetch(base + path, { method: 'POST', body: new URLSearchParams(fields) });
  return { response, exchange: [`POST ${base}${path}\n  ${asForm(fields)}`, await answerOf(response.clone())] };
}

async function begin() {
  const kept = { verifier: random(), state: random() };
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
  const challenge = base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(kept.verifier)));
  const request = {
    response_type: 'code',
    client_id: client,
    redirect_uri: redirectUri,
    scope,
    state: kept.state,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  };
  location.assign(`${base}/authorize?${new URLSearchParams(request)}`);
}

/** When the browser is back from /authorize: the answer is in the address. */
async function finish() {
  const answer = Object.fromEntries(new URLSearchParams(location.search));
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null');
  sessionStorage.removeItem(KEPT);
  // The code belongs neither into the history nor under a reload.
  history.replaceState(null, '', redirectUri);
  if (!answer.state) return;
  show('begin', `The browser came back with\n  ${asForm(answer)}`);
  if (!kept || answer.state !== kept.state) {
    show('redeem', 'The state is not the one that was sent: somebody else began this. It is not gone on with.');
    return;
  }
  if (!answer.code) return;
  await getTokens('redeem', {
    grant_type: 'authorization_code',
    code: answer.code,
    redirect_uri: redirectUri,
    client_id: client,
    code_verifier: kept.verifier,
  });
}

async function getTokens(step, fields) {
  const { response, exchange } = await post('/token', fields);
  show(step, ...exchange);
  if (!response.ok) return;
  tokens = await response.json();
  for (const button of ['call', 'refresh', 'revoke']) document.getElementById(button).disabled = false;
}

async function callTheApi() {
  const response = await fetch(base + '/demo/notes', { headers: { Authorization: `Bearer ${tokens.access_token}` } });
  return [`GET ${base}/demo/notes\n  Authorization: Bearer ${tokens.access_token}`, await answerOf(response)];
}

async function revoke() {
  const { exchange } = await post('/revoke', { token: tokens.refresh_token, client_id: client });
  show('revoke', ...exchange, ...(await callTheApi()));
}

const steps = {
  begin,
  call: async () => show('call', ...(await callTheApi())),
  refresh: () => getTokens('refresh', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token, client_id: client }),
  revoke,
};
for (const [name, act] of Object.entries(steps)) {
  const failed = (error) => show(name, `This did not work: ${error.message}`);
  document.getElementById(name).addEventListener('click', () => act().catch(failed));
}
finish();
