// The whole way, in a real browser and with an OAuth library: log in, consent, code, tokens, introspection, refresh, log out
// everywhere, inactive. Reads on standard input where and who; prints a line for each step; ends with 0 when all of it held.

import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { begin, discover, introspect, listenForCallbacks, refresh } from './app.mjs';
import { looksRight, openBrowser } from './pages.mjs';
import { followReadme } from './readme.mjs';

const { issuer, client, api, user, redirectUri, scope, pictures } = JSON.parse(await text(process.stdin));
const browser = await openBrowser();
const callbacks = await listenForCallbacks(redirectUri);
const app = await discover(issuer, client.id, client.secret);
const resourceServer = await discover(issuer, api.id, api.secret);
const context = await browser.context();
const page = await context.newPage();
const step = (what) => console.log(`ok ${what}`);

// Whatever fails, what was on the screen says most about why.
process.on('uncaughtException', async (error) => {
  console.error(error, `\nat ${page.url()}\n${await page.locator('body').innerText().catch(() => '')}`);
  process.exit(1);
});

const heading = (name) => page.getByRole('heading', { level: 1, name });
const button = (name) => page.getByRole('button', { name });

/** Sends the browser off with a request; resolves to the URL that it brings back. */
async function authorize(parameters, answer) {
  const request = await begin(app, redirectUri, { scope, ...parameters });
  await page.goto(request.url);
  await answer?.();
  return { request, callback: await callbacks.next() };
}

async function logIn() {
  await page.getByLabel('User name or e-mail').fill(user.name);
  await page.keyboard.press('Tab');
  await page.keyboard.type(user.password);
  await page.keyboard.press('Enter');
}

// ── A wrong password, then the right one; the user says no.
const refused = await authorize({}, async () => {
  await heading('Log in').waitFor();
  await looksRight(page, 'login', pictures);
  await page.getByLabel('User name or e-mail').fill(user.name);
  await page.getByLabel('Password').fill('not the password');
  await button('Log in').click();
  await page.getByRole('alert').waitFor();
  await looksRight(page, 'login-refused', pictures);
  await logIn();
  await page.getByText(client.name).first().waitFor();
  await looksRight(page, 'consent', pictures);
  await page.locator('button[name=decision][value=deny]').click();
});
assert.equal(refused.callback.searchParams.get('error'), 'access_denied');
await assert.rejects(refused.request.finish(refused.callback), { error: 'access_denied' });
step('a wrong password is told, the right one is taken, and saying no is brought to the client');

// ── The user says yes.
const allowed = await authorize({}, () => page.locator('button[name=decision][value=allow]').click());
const first = await allowed.request.finish(allowed.callback);
assert.equal(first.token_type, 'bearer');
const seen = await introspect(resourceServer, first.access_token);
assert.deepEqual([seen.active, seen.username, seen.scope, seen.client_id], [true, user.name, scope, client.id]);
step('the code becomes tokens, and the resource server sees whose they are');

const second = await refresh(app, first.refresh_token);
assert.notEqual(second.refresh_token, first.refresh_token);
assert.equal((await introspect(resourceServer, second.access_token)).active, true);
step('the refresh token becomes the next pair');

// ── Asked once, remembered; unless the client wants otherwise.
const again = await authorize({ prompt: 'none' });
const third = await again.request.finish(again.callback);
assert.equal((await introspect(resourceServer, third.access_token)).active, true);
await authorize({ prompt: 'login consent' }, async () => {
  await heading('Log in').waitFor();
  await logIn();
  await page.locator('button[name=decision][value=allow]').click();
});
step('what was allowed is remembered, and asked again when the client wants it');

const readme = await followReadme({
  issuer,
  clientId: client.id,
  clientSecret: client.secret,
  redirect_uri: redirectUri,
  scope,
  whereTheBrowserComesBack: async (login) => {
    await page.goto(login.href);
    return callbacks.next();
  },
});
assert.equal((await introspect(resourceServer, readme.tokens.access_token)).active, true);
assert.ok(readme.lines <= 10, `${readme.lines} lines`);
step('the lines of the README do all of that');

// ── One's own account: everything that is logged in, and out again.
await page.goto(`${issuer}/account`);
await page.getByText(client.name).first().waitFor();
await looksRight(page, 'account', pictures);
await page.getByRole('link', { name: 'Change the password' }).click();
await looksRight(page, 'password', pictures);
step('the account shows what is allowed');

await page.goto(`${issuer}/logout`);
await looksRight(page, 'logout', pictures);
await button('Log out everywhere').click();
await heading('You are logged out').waitFor();
await looksRight(page, 'logged-out', pictures);
for (const token of [first, second, third]) {
  assert.deepEqual(await introspect(resourceServer, token.access_token), { active: false });
}
await assert.rejects(refresh(app, second.refresh_token), { error: 'invalid_grant' });
step('logged out everywhere: every token is inactive and none is given');

const loggedOut = await authorize({ prompt: 'none' });
assert.equal(loggedOut.callback.searchParams.get('error'), 'login_required');
step('and whoever comes now has to log in');

// ── What nobody can be sent back with is a page.
await page.goto(`${issuer}/authorize?client_id=nobody`);
await looksRight(page, 'error', pictures);
assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
step('a request that cannot be answered to anybody is explained on a page');

callbacks.close();
await browser.close();
