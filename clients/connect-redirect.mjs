// Points the unmodified @vercel/connect package at a Grantry server.
//
//   GRANTRY_URL=https://grantry.example.com node --import ./connect-redirect.mjs app.mjs
//
// The package has no base-URL option; it calls the global `fetch` with Vercel's hosts. This module
// sends those calls, and no others, to GRANTRY_URL (default http://127.0.0.1:8787, read at each call).
const VERCEL_HOSTS = /^(api(-[a-z0-9]+)?|connect|oidc)\.vercel\.com$/;

const fetchAnywhere = globalThis.fetch;

globalThis.fetch = function fetch(input, init) {
  const asked = new URL(input instanceof Request ? input.url : input);
  if (!VERCEL_HOSTS.test(asked.hostname)) return fetchAnywhere(input, init);

  const base = (process.env.GRANTRY_URL ?? 'http://127.0.0.1:8787').replace(/\/+$/, '');
  const target = base + asked.pathname + asked.search;
  return fetchAnywhere(input instanceof Request ? new Request(target, input) : target, init);
};
