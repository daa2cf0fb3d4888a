// A client as its author would write it: a small web application that speaks OAuth through openid-client, and a resource server
// that asks what a token may do.

import http from 'node:http';
import * as oauth from 'openid-client';

/** Listens on the redirect URI that the client registered; `next()` is the next URL that a browser brings there. */
export async function listenForCallbacks(redirectUri) {
  const { hostname, port, pathname } = new URL(redirectUri);
  const arrived = [];
  let waiting;
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, redirectUri);
    response.setHeader('content-type', 'text/html; charset=utf-8');
    if (url.pathname !== pathname) return response.writeHead(404).end();
    response.end('<!doctype html><html lang="en"><title>Notes</title><h1>Back in the application</h1>');
    waiting ? waiting(url) : arrived.push(url);
    waiting = undefined;
  });
  await new Promise((listening) => server.listen(Number(port), hostname, listening));
  const next = (limit = 20_000) =>
    new Promise((resolve, reject) => {
      if (arrived.length > 0) return resolve(arrived.shift());
      waiting = resolve;
      setTimeout(() => reject(new Error('no browser came back')), limit).unref();
    });
  return { next, close: () => server.close() };
}

// Plain http is for loopback alone, and openid-client asks to be told so.
const onLoopback = { algorithm: 'oauth2', execute: [oauth.allowInsecureRequests] };

/** What the metadata says, by RFC 8414; everything after it is configuration. */
export async function discover(issuer, id, secret) {
  return oauth.discovery(new URL(issuer), id, secret, secret ? undefined : oauth.None(), onLoopback);
}

/** An authorization request, and what becomes of it when the browser is back. */
export async function begin(config, redirectUri, parameters) {
  const pkceCodeVerifier = oauth.randomPKCECodeVerifier();
  const expectedState = oauth.randomState();
  const url = oauth.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    ...parameters,
  });
  const finish = (callback) => oauth.authorizationCodeGrant(config, callback, { pkceCodeVerifier, expectedState });
  return { url: url.href, finish };
}

export const refresh = (config, token) => oauth.refreshTokenGrant(config, token);
export const introspect = (config, token) => oauth.tokenIntrospection(config, token);
