// The quickstart's page: an application in the browser that shows what it sends and gets. Reads on standard input where it is
// and whom to log in as; ends with 0 when all of it held.

import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { looksRight, openBrowser } from './pages.mjs';

const { url, user, password, pictures } = JSON.parse(await text(process.stdin));
const browser = await openBrowser();
const page = await (await browser.context()).newPage();
const step = (what) => console.log(`ok ${what}`);

const press = (name) => page.getByRole('button', { name }).click();
/** What a step shows, once these words stand in it. */
async function exchange(name, ...words) {
  const shown = page.locator(`#${name}-exchange`);
  for (const word of words) await shown.getByText(word).waitFor();
  return shown.innerText();
}

await page.goto(`${url}/demo`);
await looksRight(page, 'demo', pictures, { hasScript: true });
await press('Begin');
await page.getByLabel('User name or e-mail').fill(user);
await page.getByLabel('Password').fill(password);
await press('Log in');
await page.getByText('Read your notes').waitFor();
await press('Allow');
const [, first] = (await exchange('redeem', 'HTTP 200', '"refresh_token"')).match(/"access_token": "([^"]*)"/);
assert.equal(page.url(), `${url}/demo`, 'the code does not stay in the address');
step('the application logs in with PKCE and gets tokens');

await press('Call the API');
await exchange('call', first, 'HTTP 200', '"active": true', `"username": "${user}"`);
step('the API sees whose the token is');

await press('Refresh');
const [, second] = (await exchange('refresh', 'HTTP 200')).match(/"access_token": "([^"]*)"/);
assert.notEqual(second, first);
await press('Revoke');
await exchange('revoke', 'HTTP 200', second, 'HTTP 401', '"active": false');
await looksRight(page, 'demo-done', pictures, { hasScript: true });
step('what is revoked is dead at the next call');

await page.goto(`${url}/demo?code=x&state=of-somebody-else`);
await exchange('redeem', 'The state is not the one that was sent');
step('an answer that nobody asked for is not gone on with');

await browser.close();
