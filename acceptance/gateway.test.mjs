// Signing in through a connector: Better Auth and Auth.js with the helpers of npm @vercel/connect, unmodified, through the
// module that we ship; npm oauth4webapi as a client that lets nothing pass; and those who try what they should not.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { signInHere } from '../clients/connect-redirect.mjs';
import { Auth } from '@auth/core';
import { connect as authjsConnect } from '@vercel/connect/authjs';
import { connect as betterAuthConnect } from '@vercel/connect/betterauth';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { genericOAuth } from 'better-auth/plugins';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';
import { app } from './lib/app.mjs';
import { Grantry } from './lib/grantry.mjs';
import { CLIENTS, Peer } from './lib/peers.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, TEAM, world } from './lib/world.mjs';

const CONNECTOR = 'oidc/acme';
const OTHER = 'prj_other';
/** Nothing listens there: a visitor stops on arrival. */
const REDIRECT = 'http://localhost:9999/cb';
const NATIVE = 'http://127.0.0.1/native';
const ALICE = { sub: 'alice', email: 'alice@peer.example', email_verified: true, name: 'Alice of the peer' };

/** `sub` of whom the provider of a connector calls `sub`. */
const subjectOf = (sub, connector = 'scl_acme') => createHash('sha256').update(`${connector}\0${sub}`).digest('base64url');
const ALICE_HERE = { ...ALICE, sub: subjectOf(ALICE.sub) };

let server, peer, denying, workload, gateway;

const connectorOf = (id, uid, data, more = {}) => ({
  id,
  uid,
  team: TEAM,
  name: uid,
  type: 'oauth',
  data: {
    clientId: CLIENTS.conf.id,
    clientSecret: CLIENTS.conf.secret,
    userAuthorization: { enabled: true, scopes: ['openid'] },
    ...data,
  },
  links: [{ project: PROJECT, environments: ['production'] }],
  ...more,
});

before(async () => {
  server = await Grantry.start();
  [peer, denying] = await Promise.all([
    Peer.start('oidc-provider', { callbacks: [server.callback] }),
    Peer.start('oidc-provider', { callbacks: [server.callback], env: { DENY: '1' } }),
  ]);
  const document = world({
    projects: [{ id: OTHER, team: TEAM, name: 'other' }],
    connectors: [
      connectorOf('scl_acme', CONNECTOR, { serverUrl: peer.url }),
      connectorOf('scl_denied', 'oidc/denied', { serverUrl: denying.url }),
      connectorOf('scl_theirs', 'oidc/theirs', { serverUrl: peer.url }, { team: 'team_2', links: [] }),
      { id: 'scl_key', uid: 'key/acme', team: TEAM, name: 'Key', type: 'api-key', data: { values: [{ value: 'k' }] },
        links: [{ project: PROJECT, environments: ['production'] }] },
    ],
  });
  document.projects[0].sign_in_uris = [REDIRECT, NATIVE];
  await server.apply(document);
  process.env.GRANTRY_URL = server.url;
  gateway = `${server.url}/oauth`;
  workload = await server.workloadToken(PROJECT, 'production');
});
after(() => Promise.all([server, peer, denying].map((one) => one?.stop())));

/** Declares one more redirect URI of the project. */
async function declare(...uris) {
  const route = `/api/v1/projects/${PROJECT}`;
  const { body } = await server.call('GET', route, { key: KEYS.admin });
  const sign_in_uris = [...new Set([...body.sign_in_uris, ...uris])];
  const patched = await server.call('PATCH', route, { key: KEYS.admin, body: { sign_in_uris } });
  assert.equal(patched.status, 200, patched.text);
}

const s256 = (verifier) => createHash('sha256').update(verifier).digest('base64url');
const VERIFIER = randomBytes(32).toString('base64url');

function authorizeUrl(parameters = {}) {
  const url = new URL('/oauth/authorize', server.url);
  const asked = {
    response_type: 'code',
    client_id: CONNECTOR,
    redirect_uri: REDIRECT,
    state: 's1',
    code_challenge: s256(VERIFIER),
    code_challenge_method: 'S256',
    scope: 'openid profile email offline_access',
    ...parameters,
  };
  for (const [name, value] of Object.entries(asked)) if (value !== undefined) url.searchParams.set(name, value);
  return url.href;
}

/** The browser's way: gives the parameters that the application's redirect URI got. */
async function arrive(parameters, visitor = new Visitor()) {
  const { arrived, page } = await visitor.open(authorizeUrl(parameters), { stopAt: parameters?.redirect_uri ?? REDIRECT });
  assert.ok(arrived, page && `stopped at ${page.url} (${page.status}): ${page.text.slice(0, 300)}`);
  return Object.fromEntries(arrived.searchParams);
}

/** One POST of an application. */
async function post(path, form, { client = CONNECTOR, secret = workload, headers } = {}) {
  const basic = btoa(`${encodeURIComponent(client)}:${encodeURIComponent(secret)}`);
  const answer = await fetch(new URL(path, server.url), {
    method: 'POST',
    headers: headers ?? { authorization: `Basic ${basic}` },
    body: new URLSearchParams(form),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, body: text && JSON.parse(text) };
}
const redeem = (code, form = {}, by) =>
  post('/oauth/token', { grant_type: 'authorization_code', code, redirect_uri: REDIRECT, code_verifier: VERIFIER, ...form }, by);
const renew = (refresh_token, form = {}, by) => post('/oauth/token', { grant_type: 'refresh_token', refresh_token, ...form }, by);
const userinfo = async (token) => {
  const answer = await fetch(new URL('/oauth/userinfo', server.url), { headers: { authorization: `Bearer ${token}` } });
  return { status: answer.status, challenge: answer.headers.get('www-authenticate'), body: JSON.parse(await answer.text()) };
};
async function signedIn(parameters) {
  const { code } = await arrive(parameters);
  const answer = await redeem(code);
  assert.equal(answer.status, 200, answer.text);
  return { code, ...answer.body };
}
const isRefused = (answer, status, error) =>
  assert.deepEqual([answer.status, answer.body.error], [status, error], answer.text);

const helper = { connector: CONNECTOR, getVercelOidcToken: async () => workload };

describe('an application with Better Auth', () => {
  it('signs a person in, keeps them signed in, and knows them the next time', async () => {
    let auth;
    const site = await app((request) => auth.handler(request));
    const memory = { user: [], session: [], account: [], verification: [] };
    auth = betterAuth({
      baseURL: site.url,
      secret: randomBytes(32).toString('hex'),
      database: memoryAdapter(memory),
      telemetry: { enabled: false },
      plugins: [genericOAuth({ config: [signInHere(betterAuthConnect({ ...helper, providerId: 'acme' }))] })],
    });
    await declare(`${site.url}/api/auth/callback/acme`);
    try {
      for (const round of [1, 2]) {
        const visitor = new Visitor();
        const started = await fetch(`${site.url}/api/auth/sign-in/social`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', origin: site.url },
          body: JSON.stringify({ provider: 'acme', callbackURL: `${site.url}/done` }),
        });
        const { url } = await started.json();
        assert.equal(new URL(url).origin, server.url);
        visitor.takes(site.url, started);
        const { arrived } = await visitor.open(url, { stopAt: `${site.url}/done` });
        assert.equal(arrived.search, '', `it went well: ${arrived}`);
        const { page } = await visitor.open(`${site.url}/api/auth/get-session`);
        const { user } = JSON.parse(page.html);
        assert.deepEqual(
          [user.email, user.emailVerified, user.name],
          [ALICE.email, ALICE.email_verified, ALICE.name],
        );
        assert.equal(memory.user.length, 1, `round ${round}`);
        assert.equal(memory.account[0].accountId, ALICE_HERE.sub);
      }
    } finally {
      site.stop();
    }
  });
});

describe('an application with Auth.js', () => {
  it('signs a person in', async () => {
    const config = {
      providers: [signInHere(authjsConnect({ ...helper, id: 'acme', name: 'Acme' }))],
      secret: randomBytes(32).toString('hex'),
      basePath: '/auth',
      trustHost: true,
      logger: { error: (error) => console.error(error) },
    };
    const site = await app((request) => Auth(request, config));
    await declare(`${site.url}/auth/callback/acme`);
    try {
      const visitor = new Visitor();
      const { page } = await visitor.open(`${site.url}/auth/csrf`);
      const body = new URLSearchParams({ csrfToken: JSON.parse(page.html).csrfToken, callbackUrl: `${site.url}/done` });
      const { arrived, page: stopped } = await visitor.open(`${site.url}/auth/signin/acme`, { method: 'POST', body, stopAt: `${site.url}/done` });
      assert.ok(arrived, stopped && `stopped at ${stopped.url} (${stopped.status}): ${stopped.text.slice(0, 300)}`);
      const session = await visitor.open(`${site.url}/auth/session`);
      const { user } = JSON.parse(session.page.html);
      assert.deepEqual([user.email, user.name], [ALICE.email, ALICE.name]);
    } finally {
      site.stop();
    }
  });
});

describe('a client that lets nothing pass (oauth4webapi)', () => {
  const insecure = { [oauth.allowInsecureRequests]: true };
  it('discovers, signs in, verifies, reads, renews and revokes', async () => {
    const issuer = new URL(gateway);
    const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
    const asOauth = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' });
    assert.deepEqual(await oauth.processDiscoveryResponse(issuer, asOauth), as);
    assert.equal(as.authorization_response_iss_parameter_supported, true);
    const client = { client_id: 'scl_acme' };
    const proof = oauth.ClientSecretBasic(workload);
    const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
    const code_challenge = await oauth.calculatePKCECodeChallenge(verifier);
    const { arrived } = await new Visitor().open(authorizeUrl({ client_id: 'scl_acme', state, nonce, code_challenge }), { stopAt: REDIRECT });
    const parameters = oauth.validateAuthResponse(as, client, arrived, state);
    const answer = await oauth.authorizationCodeGrantRequest(as, client, proof, parameters, REDIRECT, verifier, insecure);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, { expectedNonce: nonce, requireIdToken: true });
    await oauth.validateApplicationLevelSignature(as, answer, insecure);
    const claims = oauth.getValidatedIdTokenClaims(tokens);
    assert.deepEqual([claims.sub, claims.email, claims.aud, claims.azp], [ALICE_HERE.sub, ALICE.email, 'scl_acme', 'scl_acme']);
    assert.deepEqual([claims.team, claims.project, claims.environment], [TEAM, PROJECT, 'production']);
    assert.equal(tokens.scope, 'openid profile email offline_access');

    const read = await oauth.userInfoRequest(as, client, tokens.access_token, insecure);
    assert.deepEqual(await oauth.processUserInfoResponse(as, client, claims.sub, read), ALICE_HERE);

    const keys = createRemoteJWKSet(new URL(as.jwks_uri));
    const audience = `${TEAM}:${PROJECT}:production`;
    const { payload } = await jwtVerify(tokens.access_token, keys, { issuer: as.issuer, audience, typ: 'at+jwt' });
    assert.deepEqual([payload.typ, payload.clientId, payload.clientUid], ['at', 'scl_acme', CONNECTOR]);
    assert.match(payload.sub, /^sgn_/);
    assert.equal(payload.exp - payload.iat, tokens.expires_in);

    const renewed = await oauth.refreshTokenGrantRequest(as, client, proof, tokens.refresh_token, insecure);
    const second = await oauth.processRefreshTokenResponse(as, client, renewed);
    assert.notEqual(second.refresh_token, tokens.refresh_token);
    const revoked = await oauth.revocationRequest(as, client, proof, second.refresh_token, insecure);
    await oauth.processRevocationResponse(revoked);
    for (const token of [tokens.access_token, second.access_token]) assert.equal((await userinfo(token)).status, 401);
    isRefused(await renew(second.refresh_token), 400, 'invalid_grant');
  });

  it('learns when the person was asked, and holds the provider to it', async () => {
    const issuer = new URL(gateway);
    const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
    const client = { client_id: 'scl_acme' };
    const { arrived } = await new Visitor().open(authorizeUrl({ client_id: 'scl_acme', max_age: 300 }), { stopAt: REDIRECT });
    const parameters = oauth.validateAuthResponse(as, client, arrived, 's1');
    const proof = oauth.ClientSecretBasic(workload);
    const answer = await oauth.authorizationCodeGrantRequest(as, client, proof, parameters, REDIRECT, VERIFIER, insecure);
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, { maxAge: 300, requireIdToken: true });
    const { auth_time } = oauth.getValidatedIdTokenClaims(tokens);
    assert.ok(Math.abs(Date.now() / 1000 - auth_time) < 60, `${auth_time}`);
    // It is of the sign-in, not of the person.
    assert.equal((await userinfo(tokens.access_token)).body.auth_time, undefined);
    const { error, error_description } = await arrive({ max_age: 'soon' });
    assert.equal(error, 'invalid_request');
    assert.match(error_description, /max_age/);
  });

  it('may name the connector by its id, and the team', async () => {
    for (const parameters of [{ client_id: 'scl_acme' }, { teamId: TEAM }, { teamId: 'acme' }, { client_id: 'scl_acme', teamId: TEAM }])
      assert.match((await arrive(parameters)).code, /^\w{43}$/);
  });

  it('is told no more of the person than it asked for', async () => {
    for (const [scope, expected] of [
      ['openid', ['sub']],
      ['openid email', ['email', 'email_verified', 'sub']],
      ['profile', ['name', 'sub']],
    ]) {
      const tokens = await signedIn({ scope, client_id: 'scl_acme' });
      assert.deepEqual(Object.keys((await userinfo(tokens.access_token)).body).toSorted(), expected);
      assert.equal(tokens.scope, scope);
      assert.equal(tokens.refresh_token, undefined);
      assert.equal(Boolean(tokens.id_token), scope.includes('openid'));
    }
    // Another team may have a connector of that uid: no token is for a name.
    assert.equal((await signedIn()).id_token, undefined);
  });

  it('is at home on every port of a loopback address that was declared without one', async () => {
    const redirect_uri = NATIVE.replace('127.0.0.1', '127.0.0.1:51004');
    const { code } = await arrive({ redirect_uri });
    assert.equal((await redeem(code, { redirect_uri })).status, 200);
  });

  it('may use the token of the person who signed in, in its environment', async () => {
    await signedIn();
    const subject = { type: 'user', id: ALICE_HERE.sub, issuer: gateway };
    const answer = await server.token(CONNECTOR, { key: workload, subject });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(await peer.honours(answer.body.token), true);
  });

  it('hears that a person said no', async () => {
    const answer = await arrive({ client_id: 'oidc/denied' });
    assert.deepEqual(answer, { error: 'access_denied', state: 's1', iss: gateway });
  });
});

describe('a browser that is sent with a request', () => {
  /** What is said where nobody may be sent on: a 400 of ours, and no redirect. */
  const stays = async (parameters, error, word) => {
    const answer = await fetch(authorizeUrl(parameters), { redirect: 'manual' });
    const text = await answer.text();
    assert.ok([400, 401].includes(answer.status), `${answer.status} ${text}`);
    assert.equal(answer.headers.get('location'), null);
    assert.equal(JSON.parse(text).error, error);
    assert.match(JSON.parse(text).error_description, word);
    return text;
  };
  for (const [what, redirect_uri] of [
    ['none', undefined],
    ['one of somebody else', 'https://evil.example/cb'],
    ['one with a path behind', `${REDIRECT}/x`],
    ['one with a query', `${REDIRECT}?x=1`],
    ['one on another port', REDIRECT.replace('9999', '9998')],
    ['one with a user', REDIRECT.replace('//', '//a@')],
  ])
    it(`stays where it is when the redirect URI is ${what}`, () => stays({ redirect_uri }, 'invalid_request', /redirect_uri/));

  it('learns nothing of connectors of other teams', async () => {
    const unknown = await stays({ client_id: 'scl_none', teamId: TEAM }, 'invalid_client', /client_id/);
    for (const client_id of ['scl_theirs', 'oidc/theirs'])
      assert.equal(await stays({ client_id, teamId: TEAM }, 'invalid_client', /client_id/), unknown);
    assert.equal(await stays({ client_id: 'none/none', teamId: undefined }, 'invalid_client', /client_id/), unknown);
    assert.equal(await stays({ teamId: 'team_none' }, 'invalid_client', /client_id/), unknown);
    // It is there, and no project of its own team expects anybody.
    await stays({ client_id: 'scl_theirs' }, 'invalid_request', /redirect_uri/);
  });

  it('stays where it is with a parameter that comes twice', async () => {
    const answer = await fetch(`${authorizeUrl()}&state=s2`, { redirect: 'manual' });
    assert.equal(answer.status, 400);
    assert.match(await answer.text(), /twice/);
  });

  for (const [what, parameters, error] of [
    ['no PKCE', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
    ['plain PKCE', { code_challenge: VERIFIER, code_challenge_method: 'plain' }, 'invalid_request'],
    ['a method that is left out', { code_challenge_method: undefined }, 'invalid_request'],
    ['a challenge that is none', { code_challenge: 'short' }, 'invalid_request'],
    ['another response type', { response_type: 'token' }, 'unsupported_response_type'],
    ['another response mode', { response_mode: 'fragment' }, 'invalid_request'],
    ['a request object', { request: 'e30.e30.' }, 'request_not_supported'],
    ['no page', { prompt: 'none' }, 'login_required'],
    ['a connector that nobody signs in through', { client_id: 'key/acme' }, 'unauthorized_client'],
  ])
    it(`is sent back with ${what}, and the application hears why`, async () => {
      const { error: heard, error_description, ...rest } = await arrive(parameters);
      assert.equal(heard, error);
      assert.ok(error_description);
      assert.deepEqual(rest, { state: 's1', iss: gateway });
    });

  it('begins nothing by looking', async () => {
    const answer = await fetch(authorizeUrl(), { method: 'HEAD', redirect: 'manual' });
    assert.deepEqual([answer.status, answer.headers.get('set-cookie')], [200, null]);
  });

  it('is not let in with the answer to another browser, nor with one that was changed', async () => {
    const started = await fetch(authorizeUrl(), { redirect: 'manual' });
    const provider = started.headers.get('location');
    // Somebody else's browser follows the link to the provider: the way back is not theirs.
    const { page } = await new Visitor().open(provider, { stopAt: REDIRECT });
    assert.match(page.url, /\/problem\//);
    // The state that the provider gives back is another one.
    const visitor = new Visitor();
    const { arrived } = await visitor.open(authorizeUrl(), { stopAt: server.callback });
    arrived.searchParams.set('state', `${arrived.searchParams.get('state').slice(0, -1)}_`);
    const tampered = await visitor.open(arrived.href, { stopAt: REDIRECT });
    assert.match(tampered.page.url, /\/problem\//);
  });

  it('is not let in with the answer of another server', async () => {
    const visitor = new Visitor();
    const { arrived } = await visitor.open(authorizeUrl(), { stopAt: server.callback });
    arrived.searchParams.set('iss', denying.url);
    const { page, arrived: on } = await visitor.open(arrived.href, { stopAt: REDIRECT });
    assert.equal(on, undefined);
    assert.match(page.url, /\/problem\//);
  });

  it('leaves nothing in the log while the provider has not answered', async () => {
    const lines = async () => {
      const events = await server.call('GET', '/api/v1/events?limit=100', { key: KEYS.admin });
      return events.body.data.map((event) => event.id);
    };
    const before = await lines();
    for (let beginnings = 0; beginnings < 5; beginnings++) {
      const started = await fetch(authorizeUrl(), { redirect: 'manual' });
      assert.equal(new URL(started.headers.get('location')).origin, peer.url);
    }
    assert.deepEqual(await lines(), before);
    await signedIn();
    assert.ok((await lines()).length > before.length);
  });

  it('is one of so many from its address, and is told how many', async () => {
    const guarded = await Grantry.start(undefined, { env: { GRANTRY_LIMITS_SIGN_INS_PER_MINUTE: '5' }, config: '[proxy]\ntrusted = ["127.0.0.1"]\n' });
    try {
      const begin = (client) =>
        fetch(`${guarded.url}/oauth/authorize`, { redirect: 'manual', headers: client && { 'x-forwarded-for': client } });
      for (let beginnings = 0; beginnings < 5; beginnings++) assert.equal((await begin('192.0.2.1')).status, 400);
      const refused = await begin('192.0.2.1');
      assert.equal(refused.status, 429);
      const wait = Number(refused.headers.get('retry-after'));
      assert.ok(wait >= 1 && wait <= 12, `${wait}`);
      assert.match(await refused.text(), /5 sign-ins a minute/);
      assert.equal((await begin('192.0.2.2')).status, 400);
      assert.equal((await begin()).status, 400);
    } finally {
      await guarded.stop();
    }
  });
});

describe('a code', () => {
  for (const [what, by, status, error] of [
    ['no workload', async () => ({ secret: 'nonsense' }), 401, 'invalid_client'],
    ['a forged workload token', async () => ({ secret: workload.replace(/\.[^.]+$/, `.${'A'.repeat(342)}`) }), 401, 'invalid_client'],
    ["a person's key", async () => ({ secret: KEYS.admin }), 401, 'invalid_client'],
    ["a person's key of another team", async () => ({ secret: KEYS.stranger }), 401, 'invalid_client'],
    ['an access token of the gateway', async () => ({ secret: (await signedIn()).access_token }), 401, 'invalid_client'],
    ['a project that is not linked', async () => ({ secret: await server.workloadToken(OTHER, 'production') }), 400, 'unauthorized_client'],
    ['another environment', async () => ({ secret: await server.workloadToken(PROJECT, 'preview') }), 400, 'unauthorized_client'],
    ['a connector of another team', async () => ({ client: 'scl_theirs' }), 401, 'invalid_client'],
    ['a connector that never was', async () => ({ client: 'scl_none' }), 401, 'invalid_client'],
    ['another connector of the project', async () => ({ client: 'oidc/denied' }), 400, 'invalid_grant'],
  ])
    it(`is not redeemed by ${what}`, async () => {
      const { code } = await arrive();
      isRefused(await redeem(code, {}, await by()), status, error);
      assert.equal((await redeem(code)).status, 200, 'nor is it spent by that');
    });

  it('is not redeemed by a workload token that is over', async () => {
    const { code } = await arrive();
    const short = (await server.command('workload-token', '--project', PROJECT, '--environment', 'production', '--ttl', '1s')).trim();
    await new Promise((wake) => setTimeout(wake, JSON.parse(Buffer.from(short.split('.')[1], 'base64url')).exp * 1000 - Date.now() + 50));
    isRefused(await redeem(code, {}, { secret: short }), 401, 'invalid_client');
  });

  it('tells a connector of another team and one that never was alike', async () => {
    const [theirs, none] = await Promise.all(['scl_theirs', 'scl_none'].map((client) => redeem('x', {}, { client })));
    assert.equal(theirs.text, none.text);
  });

  for (const [what, form, error] of [
    ['another verifier', { code_verifier: randomBytes(32).toString('base64url') }, 'invalid_grant'],
    ['the challenge', { code_verifier: s256(VERIFIER) }, 'invalid_grant'],
    ['another redirect URI', { redirect_uri: NATIVE }, 'invalid_grant'],
    ['no verifier', { code_verifier: '' }, 'invalid_request'],
    ['no redirect URI', { redirect_uri: '' }, 'invalid_request'],
    ['another grant type', { grant_type: 'password' }, 'unsupported_grant_type'],
  ])
    it(`is not redeemed with ${what}`, async () => {
      const { code } = await arrive();
      isRefused(await redeem(code, form), 400, error);
    });

  it('works once; when it comes again, what it bought ends', async () => {
    const { code, access_token, refresh_token } = await signedIn();
    assert.equal((await userinfo(access_token)).status, 200);
    isRefused(await redeem(code), 400, 'invalid_grant');
    const { status, challenge } = await userinfo(access_token);
    assert.deepEqual([status, challenge], [401, 'Bearer error="invalid_token"']);
    isRefused(await renew(refresh_token), 400, 'invalid_grant');
  });

  it('is redeemed by one of many who come at once, and by none in the end', async () => {
    const { code } = await arrive();
    const answers = await Promise.all(Array.from({ length: 8 }, () => redeem(code)));
    const good = answers.filter(({ status }) => status === 200);
    assert.equal(good.length, 1);
    assert.equal((await userinfo(good[0].body.access_token)).status, 401);
  });

  it('needs a proof, in one way', async () => {
    const { code } = await arrive();
    isRefused(await redeem(code, {}, { headers: {} }), 401, 'invalid_client');
    const form = { client_id: CONNECTOR, client_secret: workload };
    isRefused(await redeem(code, form), 400, 'invalid_request');
    isRefused(await redeem(code, { client_id: 'oidc/denied' }), 400, 'invalid_request');
    assert.equal((await redeem(code, form, { headers: {} })).status, 200);
  });
});

describe('a refresh token', () => {
  it('rotates; an old one ends the session', async () => {
    const first = await signedIn();
    const second = await renew(first.refresh_token);
    assert.equal(second.status, 200, second.text);
    assert.equal((await userinfo(second.body.access_token)).body.email, ALICE.email);
    isRefused(await renew(first.refresh_token), 400, 'invalid_grant');
    isRefused(await renew(second.body.refresh_token), 400, 'invalid_grant');
    assert.equal((await userinfo(second.body.access_token)).status, 401);
  });

  it('gives no more than was granted, and less where asked', async () => {
    const { refresh_token } = await signedIn({ scope: 'openid email offline_access' });
    isRefused(await renew(refresh_token, { scope: 'openid profile' }), 400, 'invalid_scope');
    const less = await renew(refresh_token, { scope: 'openid' });
    assert.equal(less.body.scope, 'openid');
    assert.deepEqual((await userinfo(less.body.access_token)).body, { sub: ALICE_HERE.sub });
  });

  it("is nobody else's", async () => {
    const { refresh_token } = await signedIn();
    isRefused(await renew(refresh_token, {}, { client: 'oidc/denied' }), 400, 'invalid_grant');
    isRefused(await renew(refresh_token, {}, { secret: await server.workloadToken(OTHER, 'production') }), 400, 'unauthorized_client');
    const revoked = await post('/oauth/revoke', { token: refresh_token }, { client: 'oidc/denied' });
    assert.equal(revoked.status, 200);
    assert.equal((await renew(refresh_token)).status, 200, 'others neither use it up nor end it');
  });

  it('is over once it is revoked, once the person disconnects, and with its connector', async () => {
    const revoked = await signedIn();
    assert.equal((await post('/oauth/revoke', { token: revoked.access_token })).status, 200);
    isRefused(await renew(revoked.refresh_token), 400, 'invalid_grant');
    assert.equal((await post('/oauth/revoke', { token: 'unknown' })).status, 200);

    const disconnected = await signedIn();
    const gone = await server.revoke(CONNECTOR, { key: workload, subject: { type: 'user', id: ALICE_HERE.sub, issuer: gateway } });
    assert.equal(gone.status, 200, gone.text);
    isRefused(await renew(disconnected.refresh_token), 400, 'invalid_grant');

    const made = await server.call('POST', '/v1/connect/connectors', {
      key: KEYS.admin,
      body: { type: 'oauth', name: 'brief', uid: 'oidc/brief', projectId: PROJECT, environments: ['production'],
        data: connectorOf('', '', { serverUrl: peer.url }).data },
    });
    assert.equal(made.status, 201, made.text);
    const { code } = await arrive({ client_id: 'oidc/brief' });
    const brief = (await redeem(code, {}, { client: 'oidc/brief' })).body;
    assert.equal((await userinfo(brief.access_token)).status, 200);
    await server.call('DELETE', '/v1/connect/connectors/oidc%2Fbrief', { key: KEYS.admin });
    isRefused(await renew(brief.refresh_token, {}, { client: 'oidc/brief' }), 401, 'invalid_client');
    assert.equal((await userinfo(brief.access_token)).status, 401);
  });
});

it('lets nothing of a sign-in pass for a workload where only our workloads are trusted', async () => {
  const { access_token, id_token } = await signedIn({ client_id: 'scl_acme' });
  const at = async (path) => (await server.call('GET', path)).body;
  const [workloads, signIns] = [await at('/.well-known/openid-configuration'), await at('/oauth/.well-known/openid-configuration')];
  assert.deepEqual([workloads.issuer, signIns.issuer], [server.url, gateway]);
  assert.equal(workloads.authorization_endpoint, undefined);
  // What a cloud does: the key set of the issuer that it trusts.
  const [trusted, ours] = [workloads, signIns].map(({ jwks_uri }) => createRemoteJWKSet(new URL(jwks_uri)));
  await jwtVerify(workload, trusted, { issuer: workloads.issuer });
  await assert.rejects(jwtVerify(workload, ours));
  for (const token of [access_token, id_token]) {
    await jwtVerify(token, ours, { issuer: gateway });
    await assert.rejects(jwtVerify(token, trusted), { code: 'ERR_JWKS_NO_MATCHING_KEY' });
  }
  const kids = async (metadata) => (await (await fetch(metadata.jwks_uri)).json()).keys.map((key) => key.kid);
  const [one, other] = [await kids(workloads), await kids(signIns)];
  assert.ok(one.length && other.length && !one.some((kid) => other.includes(kid)));
});

it('tells tokens of one kind from those of another', async () => {
  const { access_token, id_token } = await signedIn({ client_id: 'scl_acme' });
  assert.equal(decodeProtectedHeader(access_token).typ, 'at+jwt');
  for (const token of [id_token, workload, 'a.b.c', 'x']) assert.equal((await userinfo(token)).status, 401);
  assert.equal((await server.call('GET', `/v1/connect/connectors/scl_acme`, { key: access_token })).status, 401);
});

it('refuses addresses that no answer may go to', async () => {
  for (const [uri, word] of [
    ['http://app.example/cb', /https/],
    ['/cb', /absolute/],
    ['https://a@app.example/cb', /user name/],
    ['https://*.app.example/cb', /wildcards/],
    ['https://app.example/cb#x', /fragment/],
    ['javascript:alert(1)', /absolute/],
  ]) {
    const body = { sign_in_uris: ['https://app.example/fine', uri] };
    const answer = await server.call('PATCH', `/api/v1/projects/${PROJECT}`, { key: KEYS.admin, body });
    assert.equal(answer.status, 400, answer.text);
    assert.match(answer.text, word);
    assert.match(answer.text, /sign_in_uris\[1\]/);
  }
});
