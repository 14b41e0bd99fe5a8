// What the chat adapters and the eve credentials of @vercel/connect take as `webhookVerifier`, for events that a
// Grantry server forwards. The package's own verifier knows one issuer, Vercel's.
//
//   createSlackAdapter({ ...connectSlackAdapter('slack/acme'), webhookVerifier: webhookVerifier('slack/acme') })
//
// Needs nothing but `fetch` and WebCrypto: Node 20 or later, or an edge runtime.

/** Seconds that two clocks may be apart. */
const SKEW = 30;
/**
 * Milliseconds for which keys are good without asking, and while the server does not answer; between two questions; for
 * an answer to one.
 */
const [FRESH, KEPT, PAUSE, PATIENCE] = [60_000, 3_600_000, 15_000, 5_000];

/**
 * A verifier that lets through what the Grantry server at `url` forwards from `connector` to this deployment, each
 * event once and as it was sent. It throws for everything else, with the reason as message: adapters answer 401.
 *
 * @param {string | string[]} connector the connector, by its id or uid; several where one route serves several
 * @param {object} [options]
 * @param {string} [options.url] the server's public URL, exactly; by default GRANTRY_URL
 * @param {string} [options.project] this deployment's project, by its id; by default VERCEL_PROJECT_ID
 * @param {string} [options.environment] its environment; by default VERCEL_TARGET_ENV, then VERCEL_ENV
 * @param {(id: string, until: number) => boolean | Promise<boolean>} [options.once] true the first time that it is asked
 *   about `id`, which it remembers until `until` (milliseconds of the epoch). By default this process's memory: where
 *   several processes serve one route, give one that they share (Redis: `SET id 1 NX PXAT until`)
 * @returns {(request: Request, body?: string | BufferSource) => Promise<true>}
 */
export function webhookVerifier(connector, options = {}) {
  const env = globalThis.process?.env ?? {};
  const settings = {
    url: options.url ?? env.GRANTRY_URL,
    project: options.project ?? env.VERCEL_PROJECT_ID,
    environment: options.environment ?? (env.VERCEL_TARGET_ENV || env.VERCEL_ENV),
  };
  // A verifier that lacks one of these would compare with nothing: it says so when it is made, not at the first event.
  for (const [name, value] of Object.entries(settings))
    if (typeof value !== 'string' || !value) throw new TypeError(`webhookVerifier: ${name} is not set`);
  const connectors = [connector].flat();
  if (!connectors.length || !connectors.every((one) => typeof one === 'string' && one))
    throw new TypeError('webhookVerifier: name the connector by its id or uid');

  const issuer = settings.url.replace(/\/+$/, '');
  const keyOf = keysOf(issuer);
  const once = options.once ?? remembered();

  return async (request, body) => {
    const token = /^Bearer +(\S+) *$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    check(token, 'the request has no Authorization bearer token');
    const { header, claims, signed, signature } = parsed(token);
    check(header.alg === 'RS256' && header.crit === undefined, 'the token is not signed as RS256');
    const key = await keyOf(header.kid);
    check(key, `${issuer} has no such key`);
    check(await crypto.subtle.verify(RS256, key, signature, signed), 'the signature does not hold');

    check(claims.iss === issuer, `iss is not ${issuer}`);
    check([claims.aud].flat().includes(`${issuer}/${claims.owner}`), 'aud is not of the team that owner names');
    const now = Date.now() / 1000;
    check(Number.isFinite(claims.exp) && claims.exp + SKEW > now, 'exp: the token has expired');
    check(!((claims.nbf ?? claims.iat ?? 0) - SKEW > now), 'nbf: the token is not good yet');
    check(claims.project_id === settings.project, `project_id is not ${settings.project}`);
    check(claims.environment === settings.environment, `environment is not ${settings.environment}`);

    // The deployment's own token has all of the above. Only a forward says which connector's event it goes with.
    check(header.typ === 'trigger+jwt' && claims.client_id === 'api-connex', 'the token is not that of a forward');
    const { id, uid } = claims.trigger ?? {};
    check([id, uid].some((name) => connectors.includes(name)), `trigger is not of ${connectors.join(', ')}`);
    check(claims.body_sha256 === (await sha256(body ?? (await request.clone().arrayBuffer()))), 'body_sha256 is of another body');
    check(typeof claims.jti === 'string' && claims.jti, 'jti is missing');
    check(await once(claims.jti, (claims.exp + SKEW) * 1000), 'jti: the token has been used');
    return true;
  };
}

function check(holds, otherwise) {
  if (!holds) throw new Error(`webhookVerifier: ${otherwise}`);
}

const RS256 = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
const bytesOf = (base64url) =>
  Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));

/** The parts of a compact JWS (RFC 7515 §7.1). */
function parsed(token) {
  const parts = token.split('.');
  try {
    const [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(new TextDecoder().decode(bytesOf(part))));
    const signed = new TextEncoder().encode(`${parts[0]}.${parts[1]}`);
    if (parts.length === 3 && header && claims) return { header, claims, signed, signature: bytesOf(parts[2]) };
  } catch {
    // Said below.
  }
  throw new Error('webhookVerifier: the bearer is not a JWT');
}

/** The digest of a body as adapters have it: text, or bytes. */
async function sha256(body) {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return btoa(String.fromCharCode(...digest)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** Looks up the keys of `issuer` by their id. One request at a time, however many events arrive. */
function keysOf(issuer) {
  let keys = new Map();
  let [tried, asked] = [-Infinity, -Infinity];
  let asking;
  const ask = async () => {
    const answer = await fetch(`${issuer}/.well-known/jwks`, { redirect: 'error', signal: AbortSignal.timeout(PATIENCE) });
    check(answer.ok, `${issuer}/.well-known/jwks answers ${answer.status}`);
    const rsa = (await answer.json()).keys.filter(({ kty, alg = 'RS256' }) => kty === 'RSA' && alg === 'RS256');
    const imported = rsa.map(async ({ kid, kty, n, e }) => [
      kid,
      await crypto.subtle.importKey('jwk', { kty, n, e }, RS256, false, ['verify']),
    ]);
    [keys, asked] = [new Map(await Promise.all(imported)), Date.now()];
  };
  return async (kid) => {
    const now = Date.now();
    const wanted = now - asked > FRESH || !keys.has(kid);
    if (!asking && wanted && (!keys.size || now - tried > PAUSE)) {
      tried = now;
      asking = ask().finally(() => (asking = undefined));
    }
    // While the server is away its last keys are good.
    await asking?.catch((error) => {
      if (!keys.has(kid)) throw error;
    });
    return now - asked > KEPT ? undefined : keys.get(kid);
  };
}

/** Remembers ids until they are over. Tokens live alike, so that the first that came in is the first to go. */
function remembered() {
  const seen = new Map();
  return (id, until) => {
    const now = Date.now();
    for (const [old, end] of seen) {
      if (end > now) break;
      seen.delete(old);
    }
    if (seen.has(id)) return false;
    seen.set(id, until);
    return true;
  };
}
