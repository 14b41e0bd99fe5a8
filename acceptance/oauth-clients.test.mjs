// What an OAuth client can be and do, against oidc-provider: keys in place of secrets, documents in place of
// registrations, requests that are pushed, assertions, claims.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Grantry } from './lib/grantry.mjs';
import { Peer } from './lib/peers.mjs';
import { freePort, run, temporaryFolder } from './lib/process.mjs';
import { connect, expiry, served, user } from './lib/provider-suite.mjs';
import { png, sha1 } from './lib/image.mjs';
import { KEYS, PROJECT, world } from './lib/world.mjs';
import { Visitor } from './lib/visitor.mjs';

const SCOPES = ['openid', 'offline_access', 'api:read'];
const AT_TTL = '3';

/** A connector of `peer` that knows no more than its URL and `data`. */
async function made(server, peer, data, more = {}) {
  const body = {
    type: 'oauth',
    name: 'client',
    projectId: PROJECT,
    data: {
      serverUrl: peer.url,
      userAuthorization: { enabled: true, scopes: SCOPES },
      authorizationUrlParams: { prompt: 'consent' },
      ...data,
    },
    ...more,
  };
  const answer = await server.call('POST', '/v1/connect/connectors', { key: KEYS.admin, body });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}
const clientAt = async (peer, { data }) =>
  (await fetch(`${peer.url}/_client/${encodeURIComponent(data.clientId)}`)).json();

/** Gives a connector this image, or none. */
async function show(server, { id }, image) {
  const icon = image ? sha1(image) : '';
  if (image) {
    const headers = { authorization: `Bearer ${KEYS.admin}`, 'content-type': 'application/octet-stream', 'x-vercel-digest': icon };
    const uploaded = await fetch(`${server.url}/v2/files`, { method: 'POST', headers, body: image });
    assert.equal(uploaded.status, 200, await uploaded.text());
  }
  const answer = await server.call('PATCH', `/v1/connect/connectors/${id}`, { key: KEYS.admin, body: { icon } });
  assert.equal(answer.status, 200, answer.text);
}

/** What anybody gets at `uri`. */
async function fetched(uri, headers = {}) {
  const answer = await fetch(uri, { headers });
  return [answer.status, answer.headers.get('content-type'), sha1(Buffer.from(await answer.arrayBuffer()))];
}

describe('a client of oidc-provider', () => {
  let server, peer, passport;
  before(async () => {
    server = await Grantry.start(world());
    passport = await generateKeyPair('ES256');
    const SUBJECT_KEY = JSON.stringify(await exportJWK(passport.publicKey));
    peer = await Peer.start('oidc-provider', { callbacks: [server.callback], env: { AT_TTL, SUBJECT_KEY } });
  });
  after(() => Promise.all([server, peer].map((one) => one?.stop())));

  it('has the icon of its connector, which the server is told of (RFC 7592) and anybody can fetch', async () => {
    const connector = await made(server, peer, {});
    const logo = async () => (await clientAt(peer, connector)).logo_uri;
    assert.equal(await logo(), undefined);
    for (const image of [png(640, 640), png(700, 700)]) {
      await show(server, connector, image);
      assert.equal(await logo(), `${server.url}/oauth/clients/${connector.id}/logo`);
      assert.deepEqual(await fetched(await logo()), [200, 'image/png', sha1(image)]);
      assert.equal((await fetched(await logo(), { 'if-none-match': `"${sha1(image)}"` }))[0], 304);
    }
    const before = await logo();
    await show(server, connector);
    assert.deepEqual([await logo(), (await fetched(before))[0]], [undefined, 404]);
  });

  it('signs with a key of its own, whose next one is published before it is used', async () => {
    const connector = await made(server, peer, { tokenEndpointAuthMethod: 'private_key_jwt' });
    const registered = await clientAt(peer, connector);
    assert.equal(registered.token_endpoint_auth_method, 'private_key_jwt');
    assert.equal(registered.jwks_uri, `${server.url}/oauth/clients/${connector.id}/jwks`);
    const keys = async () => (await (await fetch(registered.jwks_uri)).json()).keys;
    const [key] = await keys();
    assert.deepEqual([key.kty, key.alg, key.use, key.d], ['RSA', 'RS256', 'sig', undefined]);

    const who = user('keyed');
    let grant = await connect(server, connector.id, who);
    for (let round = 0; round < 2; round++) {
      await expiry(peer, grant);
      grant = await served(server, connector.id, who);
      assert.equal(await peer.honours(grant.token), true);
    }
    const rotate = () => server.call('POST', `/api/v1/connectors/${connector.id}/rotate_key`, { key: KEYS.admin });
    const rotated = await rotate();
    assert.equal(rotated.status, 200, rotated.text);
    assert.deepEqual((await keys()).length, 2);
    assert.equal((await keys())[0].kid, key.kid);
    assert.equal((await rotate()).status, 409);
    await expiry(peer, grant);
    assert.equal(await peer.honours((await served(server, connector.id, who)).token), true);
    const member = await server.call('POST', `/api/v1/connectors/${connector.id}/rotate_key`, { key: KEYS.member });
    assert.equal(member.status, 403);
  });

  it('pushes its authorization request', async () => {
    const connector = await made(server, peer, {});
    const { pushed } = await peer.stats();
    const who = user('pushed');
    const started = await server.authorize(connector.id, { ...who, returnUrl: 'http://localhost:9999/done' });
    const visitor = new Visitor();
    const { page } = await visitor.open(started.body.url);
    const { arrived, origins } = await visitor.press(page, { stopAt: 'http://localhost:9999/done' });
    assert.ok(arrived && origins.includes(peer.url));
    assert.equal((await peer.stats()).pushed, pushed + 1);
    assert.equal(await peer.honours((await served(server, connector.id, who)).token), true);
  });

  it('pushes it where nothing else is taken', async () => {
    const strict = await Peer.start('oidc-provider', { callbacks: [server.callback], env: { AT_TTL, PAR: '1' } });
    try {
      const connector = await made(server, strict, {});
      const { token } = await connect(server, connector.id, user('strict'));
      assert.equal(await strict.honours(token), true);
      const none = await made(server, strict, { serverConfig: { pushed_authorization_request_endpoint: '' } }, { uid: 'no/par' });
      const started = await server.authorize(none.id, { ...user('strict'), returnUrl: 'http://localhost:9999/done' });
      const visitor = new Visitor();
      const { page } = await visitor.open(started.body.url);
      const { page: stopped } = await visitor.press(page, { stopAt: 'http://localhost:9999/done' });
      assert.ok(stopped, 'nobody arrives without a pushed request');
      assert.equal((await strict.stats()).pushed, 1);
    } finally {
      await strict.stop();
    }
  });

  it('speaks for somebody with an assertion of its own', async () => {
    for (const [method, useClientCredentials] of [['private_key_jwt', true], ['none', false]]) {
      const connector = await made(server, peer, {
        tokenEndpointAuthMethod: method,
        jwtBearer: { enabled: true, scopes: ['api:read'], additionalClaims: { team: 'acme' }, useClientCredentials },
      });
      assert.ok(connector.supportedSubjectTypes.includes('jwt-bearer'));
      const ask = (sub, more = {}) =>
        server.token(connector.id, { key: KEYS.workload, subject: { type: 'jwt-bearer', sub, ...more } });
      const carol = await ask('carol');
      assert.equal(carol.status, 200, carol.text);
      assert.equal(await peer.honours(carol.body.token), true);
      assert.equal((await ask('carol')).body.token, carol.body.token, 'it is kept while it lives');
      const dave = await ask('dave', { additionalClaims: { role: 'auditor' } });
      assert.notEqual(dave.body.token, carol.body.token);
      const { asserted } = await peer.stats();
      const [one, two] = asserted.slice(-2);
      assert.deepEqual([one.sub, one.team, one.role], ['carol', 'acme', undefined]);
      assert.deepEqual([two.sub, two.team, two.role], ['dave', 'acme', 'auditor']);
      assert.equal(one.iss, connector.data.clientId);
      await expiry(peer, carol.body);
      const again = await ask('carol');
      assert.notEqual(again.body.token, carol.body.token);
      const wrong = await ask('carol', { aud: 'https://elsewhere.example' });
      assert.ok([422, 502].includes(wrong.status), wrong.text);
      const person = await server.token(connector.id, { key: KEYS.member, subject: { type: 'jwt-bearer', sub: 'carol' } });
      assert.equal(person.status, 403, person.text);
      const nobody = await ask(undefined);
      assert.equal(nobody.status, 400);
      assert.match(nobody.text, /subject\.sub/);
    }
  });

  it('exchanges a token that it is given, and keeps neither', async () => {
    const connector = await made(server, peer, { clientId: 'conf', clientSecret: 'conf-secret' });
    const ask = (token) => server.token(connector.id, { key: KEYS.workload, subject: { type: 'token', token } });
    const jwt = await new SignJWT({ jti: 'once', sub: 'erin' })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer('https://passport.example')
      .setAudience(`${peer.url}/token`)
      .setIssuedAt()
      .setExpirationTime('2m')
      .sign(passport.privateKey);
    const good = await ask(jwt);
    assert.equal(good.status, 200, good.text);
    assert.equal(await peer.honours(good.body.token), true);
    assert.ok(good.body.expiresAt > Date.now());
    assert.equal((await peer.stats()).asserted.at(-1).sub, 'erin');
    const bad = await ask('a.b.c');
    assert.equal(bad.status, 400, bad.text);
    assert.match(bad.text, /subject\.token/);
    assert.equal((await ask('')).status, 400);
    const person = await server.token(connector.id, { key: KEYS.member, subject: { type: 'token', token: 'a.b.c' } });
    assert.equal(person.status, 403);
    const connections = await server.call('GET', `/api/v1/connections?connector=${connector.id}`, { key: KEYS.admin });
    assert.deepEqual(connections.body.data, []);
  });

  it('gives out the claims that it forwards, also after a refresh, and no ID token', async () => {
    const connector = await made(server, peer, { forwardedClaims: { idToken: ['email', 'groups', 'absent'] } });
    const who = user('claimed');
    const first = await connect(server, connector.id, who);
    assert.deepEqual(first.claims, { email: 'alice@peer.example', groups: ['staff'] });
    await expiry(peer, first);
    const second = await served(server, connector.id, who);
    assert.notEqual(second.token, first.token);
    assert.deepEqual(second.claims, first.claims);
    for (const answer of [first, second]) assert.ok(!JSON.stringify(answer).includes('id_token'));
    const narrower = { data: { forwardedClaims: { idToken: ['groups'] } } };
    const changed = await server.call('PATCH', `/api/v1/connectors/${connector.id}`, { key: KEYS.admin, body: narrower });
    assert.equal(changed.status, 200);
    assert.deepEqual((await served(server, connector.id, who)).claims, { groups: ['staff'] });
    const plain = await made(server, peer, {});
    const other = await connect(server, plain.id, user('unclaimed'));
    assert.equal(other.claims, undefined);
  });

  it('asks for rich authorization details at the consent and at the token endpoint', async () => {
    const connector = await made(server, peer, { clientId: 'conf', clientSecret: 'conf-secret' });
    const authorizationDetails = [{ type: 'account', actions: ['read'] }];
    const who = { ...user('rich'), authorizationDetails };
    const { token } = await connect(server, connector.id, who);
    const answer = await (await peer.form('introspection', { token })).json();
    assert.deepEqual(answer.authorization_details, authorizationDetails);
    assert.equal((await peer.stats()).detailed, 1, 'the code exchange names them too');
    // Another grant than the same without.
    assert.equal((await server.token(connector.id, user('rich'))).status, 422);
  });

  it('keeps overrides of what its server publishes until they are taken back', async () => {
    const connector = await made(server, peer, { serverConfig: { token_endpoint: 'http://127.0.0.1:1/token' } });
    const route = `/api/v1/connectors/${connector.id}`;
    const patch = (serverConfig) => server.call('PATCH', route, { key: KEYS.admin, body: { data: { serverConfig } } });
    const added = await patch({ revocation_endpoint: `${peer.url}/token/revocation` });
    assert.deepEqual(added.body.data.serverConfig, {
      token_endpoint: 'http://127.0.0.1:1/token',
      revocation_endpoint: `${peer.url}/token/revocation`,
    });
    const removed = await patch({ token_endpoint: '' });
    assert.deepEqual(removed.body.data.serverConfig, { revocation_endpoint: `${peer.url}/token/revocation` });
    assert.equal(await peer.honours((await connect(server, connector.id, user('overridden'))).token), true);
    const wrong = await patch({ token_endpoint: 'nowhere' });
    assert.equal(wrong.status, 400);
    assert.match(wrong.text, /serverConfig\.token_endpoint/);
  });
});

describe('a client that is known by the URL of its document', () => {
  let server, peer;
  before(async () => {
    // Certificates here are signed by nobody; what is tried is who the client is.
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    const folder = temporaryFolder('document');
    const port = await freePort();
    const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')];
    await run('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30',
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert],
    ]);
    server = new Grantry(folder, port);
    server.url = server.publicUrl = `https://localhost:${port}`;
    server.callback = `${server.url}/callback`;
    appendFileSync(server.config, `[tls]\ncert_file = "${cert}"\nkey_file = "${key}"\n`);
    await server.serve();
    await server.apply(world());
    const env = { AT_TTL, NODE_TLS_REJECT_UNAUTHORIZED: '0' };
    peer = await Peer.start('oidc-provider', { callbacks: [server.callback], env });
  });
  after(async () => {
    await Promise.all([server, peer].map((one) => one?.stop()));
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  });

  for (const method of ['private_key_jwt', 'none'])
    it(`needs no registration, with ${method}`, async () => {
      const { registered } = await peer.stats();
      const connector = await made(server, peer, { tokenEndpointAuthMethod: method, clientName: 'Acme Agents' });
      const id = `${server.url}/oauth/clients/${connector.id}`;
      assert.equal(connector.data.clientId, id);
      const read = () => fetch(id);
      const document = await (await read()).json();
      assert.equal(document.client_id, id);
      assert.equal(document.client_name, 'Acme Agents');
      assert.deepEqual(document.redirect_uris, [server.callback]);
      assert.ok(!JSON.stringify(document).match(/secret|team|acme_/), JSON.stringify(document));
      assert.match((await read()).headers.get('cache-control'), /max-age/);
      await show(server, connector, png(640, 640));
      const { logo_uri: logo } = await (await read()).json();
      assert.deepEqual([logo, await fetched(logo)], [`${id}/logo`, [200, 'image/png', sha1(png(640, 640))]]);

      const who = user('documented');
      const first = await connect(server, connector.id, who);
      assert.equal(await peer.honours(first.token), true);
      await expiry(peer, first);
      assert.equal(await peer.honours((await served(server, connector.id, who)).token), true);
      assert.equal((await peer.stats()).registered, registered);

      await server.call('DELETE', `/v1/connect/connectors/${connector.id}`, { key: KEYS.admin });
      assert.equal((await read()).status, 404);
    });

  it('is registered all the same where that is wished', async () => {
    const connector = await made(server, peer, { clientRegistration: 'dynamic' });
    assert.ok(!connector.data.clientId.includes('/oauth/clients/'));
    assert.equal((await fetch(`${server.url}/oauth/clients/${connector.id}`)).status, 404);
    assert.equal((await fetch(`${server.url}/oauth/clients/${connector.id}/jwks`)).status, 404);
  });
});
