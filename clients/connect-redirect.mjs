// Points the unmodified @vercel/connect package at a Grantry server.
//
//   GRANTRY_URL=https://grantry.example.com node --import ./connect-redirect.mjs app.mjs
//
// The package has no base-URL option; it calls the global `fetch` with Vercel's hosts. This module
// sends those calls, and no others, to GRANTRY_URL (default http://127.0.0.1:8787, read at each call).
const VERCEL_HOSTS = /^(api(-[a-z0-9]+)?|connect|oidc)\.vercel\.com$/;

const base = () => (process.env.GRANTRY_URL ?? 'http://127.0.0.1:8787').replace(/\/+$/, '');

/**
 * A provider that `connect` of `@vercel/connect/betterauth` or `@vercel/connect/authjs` made, whose browsers come to
 * Grantry, too: what a browser opens is no `fetch`. Auth.js is also told whose answers it gets (RFC 9207).
 */
export function signInHere(provider) {
  const here = (url) => url.replace(/^https:\/\/connect\.vercel\.com(?=\/)/, base());
  const { authorizationUrl, authorization } = provider;
  if (authorizationUrl) return { ...provider, authorizationUrl: here(authorizationUrl) };
  return { ...provider, issuer: `${base()}/oauth`, authorization: { ...authorization, url: here(authorization.url) } };
}

const fetchAnywhere = globalThis.fetch;

globalThis.fetch = function fetch(input, init) {
  const asked = new URL(input instanceof Request ? input.url : input);
  if (!VERCEL_HOSTS.test(asked.hostname)) return fetchAnywhere(input, init);

  // What is Vercel's host for sign-ins is a path here, next to which is the issuer of workload tokens.
  const gateway = asked.hostname === 'connect.vercel.com' && asked.pathname === '/.well-known/openid-configuration';
  const target = base() + (gateway ? '/oauth' : '') + asked.pathname + asked.search;
  return fetchAnywhere(input instanceof Request ? new Request(target, input) : target, init);
};
