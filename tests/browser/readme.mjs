// The lines of the README, run as they stand there.

import fs from 'node:fs/promises';
import * as oauth from 'openid-client';

const README = new URL('../../README.md', import.meta.url);
const AsyncFunction = async function () {}.constructor;

/** Goes the way of the README's code block; resolves to the server, the refreshed tokens, and how many lines it took. */
export async function followReadme(place) {
  const [, block] = (await fs.readFile(README, 'utf8')).match(/```js\nimport \* as oauth from 'openid-client';\n\n([^]*?)```/);
  // Plain http is for loopback alone, and openid-client asks to be told so.
  const onLoopback = block.replace("{ algorithm: 'oauth2' }", "{ algorithm: 'oauth2', execute: [oauth.allowInsecureRequests] }");
  if (onLoopback === block) throw new Error('the README does not say { algorithm: oauth2 } any more');
  const run = new AsyncFunction('oauth', ...Object.keys(place), `${onLoopback}\nreturn { server, tokens };`);
  const lines = block.split('\n').filter((line) => line.trim() !== '').length;
  return { ...(await run(oauth, ...Object.values(place))), lines };
}
