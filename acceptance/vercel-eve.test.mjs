// eve's own side of a connection: `connect` of npm @vercel/connect/eve, unmodified, through the module that we ship, and who
// may call an agent: people who signed in through a connector.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import '../clients/connect-redirect.mjs';
import { revokeToken } from '@vercel/connect';
import { connect, connectOAuth } from '@vercel/connect/eve';
import { extractBearerToken, routeAuth, verifyOidc } from 'eve/channels/auth';
import { Grantry } from './lib/grantry.mjs';
import { CLIENTS, Peer } from './lib/peers.mjs';
import { DEMO, Sandbox } from './lib/sandbox.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

const REDIRECT = 'http://localhost:9999/cb';
let server, peer, sandbox, connectOptions;
before(async () => {
  server = await Grantry.start();
  [peer, sandbox] = await Promise.all([
    Peer.start('oidc-provider', { callbacks: [server.callback] }),
    Sandbox.start({ accessTtl: 600 }),
  ]);
  const row = (id, type, data) => ({
    id: `scl_${id}`, uid: `${type}/${id}`, team: TEAM, name: id, type, data,
    links: [{ project: PROJECT, environments: ['production'] }],
  });
  const app = {
    clientId: DEMO.id,
    clientSecret: DEMO.secret,
    serverConfig: { token_endpoint: `${sandbox.url}/token`, authorization_endpoint: `${sandbox.url}/authorize` },
    clientCredentials: { enabled: true },
  };
  const document = world({
    connectors: [
      row('acme', 'oauth', {
        clientId: CLIENTS.conf.id, clientSecret: CLIENTS.conf.secret, serverUrl: peer.url,
        userAuthorization: { enabled: true, scopes: ['openid', 'offline_access'], tenantClaim: 'org' },
        authorizationUrlParams: { prompt: 'consent' },
      }),
      row('app', 'oauth', app),
      row('bot', 'slack', { appId: 'A1', appName: 'Bot', clientId: 'c', clientSecret: 's' }),
    ],
  });
  document.projects[0].sign_in_uris = [REDIRECT];
  await server.apply(document);
  process.env.GRANTRY_URL = server.url;
  connectOptions = { vercelToken: await server.workloadToken(PROJECT, 'production') };
});
after(() => Promise.all([server, peer, sandbox].map((one) => one?.stop())));

/** What an eve connection asks with. */
const context = (id) => ({ connection: { url: 'https://mcp.example/mcp' }, principal: { type: 'user', id } });
const failsWith = (name, fields = {}) => (error) => {
  assert.equal(error.name, name, `${error}`);
  for (const [field, value] of Object.entries(fields)) assert.equal(error[field], value, field);
  return true;
};

describe('a connection of a user', () => {
  const auth = () => connect({ connector: 'oauth/acme', connectOptions });

  it('is asked for, consented to, completed, and forgotten', async () => {
    const who = context('ann');
    assert.deepEqual([auth().principalType, auth().vercelConnect], ['user', { connector: 'oauth/acme' }]);
    await assert.rejects(auth().getToken(who), failsWith('ConnectionAuthorizationRequiredError'));
    await assert.rejects(auth().completeAuthorization(who), failsWith('ConnectionAuthorizationFailedError'));

    const { challenge } = await auth().startAuthorization({ ...who, callbackUrl: RETURN_URL, webhook: 'https://eve.example/resume' });
    assert.equal(new URL(challenge.url).origin, server.url);
    assert.equal(challenge.displayName, '127.0.0.1', 'the service, which is named by its host');
    assert.match(challenge.userCode, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
    assert.ok((await new Visitor().open(challenge.url)).page.text.includes(challenge.userCode));
    await new Visitor().connect(challenge.url, RETURN_URL);

    const { token, expiresAt } = await auth().completeAuthorization(who);
    assert.equal(await peer.honours(token), true);
    assert.ok(expiresAt > Date.now());
    assert.equal((await auth().getToken(who)).token, token);

    // What is in the package's memory goes with `evict`; the server's is another matter.
    await auth().evict(who);
    assert.equal((await auth().getToken(who)).token, token);
    await auth().evict({ ...who, revoke: true });
    assert.equal(await peer.honours(token), false);
    await assert.rejects(auth().getToken(who), failsWith('ConnectionAuthorizationRequiredError'));
  });
});

describe('a connection of the application', () => {
  it('has a token without anybody’s consent', async () => {
    const auth = connect({ connector: 'oauth/app', principalType: 'app', connectOptions });
    const { token, expiresAt } = await auth.getToken({ principal: { type: 'app' } });
    assert.equal(await sandbox.honours(token), true);
    assert.ok(expiresAt > Date.now());
    assert.equal((await auth.getToken({ principal: { type: 'app' } })).token, token);
    await revokeToken('oauth/app', { subject: { type: 'app' } }, connectOptions);
  });

  it('fails, and is not tried again, while the application is not installed', async () => {
    const auth = connect({ connector: 'slack/bot', principalType: 'app', connectOptions });
    await assert.rejects(
      auth.getToken({ principal: { type: 'app' } }),
      failsWith('ConnectionAuthorizationFailedError', { reason: 'connector_installation_required', retryable: false }),
    );
  });
});

describe('who may call an agent', () => {
  /** Like the function that docs/sign-in.md shows. */
  const signedInHere = async (request) => {
    const result = await verifyOidc(extractBearerToken(request.headers.get('authorization')), {
      issuer: `${process.env.GRANTRY_URL}/oauth`,
      audiences: [`${TEAM}:${PROJECT}:production`],
      claims: { typ: ['at'], clientUid: ['oauth/acme'] },
    });
    return result.ok ? result.sessionAuth : null;
  };
  const request = (token) => new Request('https://agent.example/', { headers: { authorization: `Bearer ${token}` } });

  async function signIn() {
    const verifier = randomBytes(32).toString('base64url');
    const url = new URL('/oauth/authorize', server.url);
    url.search = new URLSearchParams({
      response_type: 'code', client_id: 'oauth/acme', redirect_uri: REDIRECT, scope: 'openid',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
    });
    const { arrived } = await new Visitor().open(url.href, { stopAt: REDIRECT });
    const answer = await fetch(`${server.url}/oauth/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${encodeURIComponent('oauth/acme')}:${connectOptions.vercelToken}`)}` },
      body: new URLSearchParams({ grant_type: 'authorization_code', code: arrived.searchParams.get('code'), redirect_uri: REDIRECT, code_verifier: verifier }),
    });
    const { access_token } = await answer.json();
    assert.ok(access_token, `${answer.status}`);
    return access_token;
  }

  it('are those who signed in, by eve’s own verifier; the package’s knows Vercel’s issuer alone', async () => {
    const token = await signIn();
    const session = await signedInHere(request(token));
    assert.equal(session.principalType, 'service');
    assert.equal(session.issuer, `${server.url}/oauth`);
    const discoveryUrl = `${server.url}/oauth/.well-known/openid-configuration`;
    const pinned = connectOAuth({ audiences: [`${TEAM}:${PROJECT}:production`], discoveryUrl });
    assert.equal(await pinned(request(token)), null);
    // In a route, as eve calls it.
    assert.ok(!((await routeAuth(request(token), signedInHere)) instanceof Response));
    assert.equal((await routeAuth(request('none'), signedInHere)).status, 401);
  });

  it('are not the deployment itself, nor those of other connectors, projects and environments', async () => {
    const token = await signIn();
    assert.equal(await signedInHere(request(connectOptions.vercelToken)), null);
    assert.equal(await signedInHere(request(`${token.slice(0, -4)}AAAA`)), null);
    for (const [audiences, clientUid] of [[`${TEAM}:prj_2:production`, 'oauth/acme'], [`${TEAM}:${PROJECT}:preview`, 'oauth/acme'], [`${TEAM}:${PROJECT}:production`, 'oauth/x']]) {
      const result = await verifyOidc(token, { issuer: `${server.url}/oauth`, audiences: [audiences], claims: { typ: ['at'], clientUid: [clientUid] } });
      assert.equal(result.ok, false);
    }
  });

  it('are those of the tenants that are let in, and of the installations, as the package’s options say it', async () => {
    const lets = async (token, claims) => {
      const asked = { issuer: `${server.url}/oauth`, audiences: [`${TEAM}:${PROJECT}:production`], claims: { typ: ['at'], ...claims } };
      return (await verifyOidc(token, asked)).ok;
    };
    const token = await signIn();
    assert.equal(await lets(token, { tenantId: ['org_other', 'org_acme'] }), true);
    assert.equal(await lets(token, { tenantId: ['org_other'] }), false);
    assert.equal(await lets(token, { installationId: ['org_acme'] }), false, 'it is installed nowhere');
    // The default is another's: of it are those who are of it.
    for (const external_id of ['org_acme', 'org_other'])
      assert.equal((await server.call('POST', '/api/v1/connectors/scl_acme/installations', { key: KEYS.admin, body: { external_id, default: true } })).status, 201);
    const installed = await signIn();
    assert.equal(await lets(installed, { tenantId: ['org_acme'], installationId: ['org_acme'] }), true);
    assert.equal(await lets(installed, { installationId: ['org_other'] }), false);
  });
});
