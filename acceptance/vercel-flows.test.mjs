// The calls that npm @vercel/sdk 1.28.8 still models and later ones left out, by that very package.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { Vercel } from 'vercel-sdk-1.28.8';
import { Grantry } from './lib/grantry.mjs';
import { Peer } from './lib/peers.mjs';
import { until } from './lib/process.mjs';
import { served, user } from './lib/provider-suite.mjs';
import { Visitor } from './lib/visitor.mjs';
import { connectorOf, KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

const CONNECTOR = 'oidc/flows';
let server, peer;
before(async () => {
  server = await Grantry.start();
  peer = await Peer.start('oidc-provider', { callbacks: [server.callback] });
  await server.apply(world(connectorOf(peer, { id: 'scl_flows', uid: CONNECTOR })));
});
after(async () => {
  await server?.stop();
  await peer?.stop();
});

const sdk = (bearerToken = KEYS.admin) => new Vercel({ serverURL: server.url, bearerToken }).connect;

describe('connect.importConnectorTokens', () => {
  const expiresAt = Date.now() + 3_600_000;
  const token = (id, fields) => ({
    accessToken: `at-${id}`,
    expiresAt,
    environment: 'production',
    subject: { type: 'user', id },
    ...fields,
  });
  const importing = (tokens, key) =>
    sdk(key).importConnectorTokens({ connector: CONNECTOR, requestBody: { tokens } });

  it('takes tokens in, tells them without their secrets, and serves them', async () => {
    const told = await importing([
      token('moved-1', {
        refreshToken: 'rt-1',
        name: 'Ada',
        externalSubject: 'U1',
        installation: { id: 'T1', name: 'Workspace' },
        tenant: { id: 'E1' },
        installationId: 'T1',
        data: { botUserId: 'U9' },
        authorizationDetails: [{ type: 'x' }],
      }),
      token('moved-2'),
    ]);
    assert.deepEqual([told.accepted, told.imported], [2, 2]);
    const [first, second] = told.tokens;
    assert.deepEqual(first.subject, { type: 'user', id: 'moved-1' });
    assert.deepEqual([first.installation, first.tenant, first.data, first.expiresAt], [
      { id: 'T1', name: 'Workspace' },
      { id: 'E1' },
      { botUserId: 'U9' },
      expiresAt,
    ]);
    assert.ok(first.succeeded && second.succeeded);
    assert.doesNotMatch(JSON.stringify(told), /at-moved|rt-1/);
    const answer = await served(server, CONNECTOR, user('moved-2'));
    assert.equal(answer.token, 'at-moved-2');
    assert.ok(Math.abs(answer.expiresAt - expiresAt) < 2000, `${answer.expiresAt}`);
  });

  it('takes facts in that outlive refreshes whose answers do not repeat them', async () => {
    const provider = createServer((request, response) => {
      const body = { access_token: 'at-new', token_type: 'bearer', expires_in: 3600, instance_url: undefined };
      request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(JSON.stringify(body)));
    });
    await new Promise((done) => provider.listen(0, '127.0.0.1', done));
    const at = `http://127.0.0.1:${provider.address().port}`;
    try {
      const connector = 'salesforce/moved';
      const made = await server.call('POST', '/v1/connect/connectors', {
        key: KEYS.admin,
        body: {
          type: 'salesforce', name: 'Moved', uid: connector, projectId: PROJECT, environments: ['production'],
          data: {
            consumerKey: 'k', consumerSecret: 's', loginHost: 'login.salesforce.com',
            serverConfig: { authorization_endpoint: `${at}/authorize`, token_endpoint: `${at}/token` },
          },
        },
      });
      assert.equal(made.status, 201, made.text);
      const data = { instance_url: 'https://acme.my.salesforce.com' };
      const subject = { type: 'user', id: 'moved' };
      const moved = { accessToken: 'at-old', refreshToken: 'rt', expiresAt: Date.now() + 1500, environment: 'production', subject, data };
      await sdk().importConnectorTokens({ connector, requestBody: { tokens: [moved] } });
      const read = () => server.token(connector, { key: KEYS.workload, subject });
      let answer = await read();
      assert.deepEqual([answer.body.token, answer.body.metadata], ['at-old', data], answer.text);
      await until(async () => (answer = await read()).body.token === 'at-new', 'the token is refreshed', 20);
      assert.deepEqual(answer.body.metadata, data);
    } finally {
      provider.close();
    }
  });

  it('may be sent again, and never overwrites what stands', async () => {
    await importing([token('kept')]);
    const again = await importing([token('kept')]);
    assert.deepEqual([again.accepted, again.imported, again.tokens[0].succeeded], [1, 0, true]);
    const other = await importing([token('kept', { accessToken: 'at-other' })]);
    assert.deepEqual([other.imported, other.tokens[0].succeeded], [0, false]);
    assert.equal((await served(server, CONNECTOR, user('kept'))).token, 'at-kept');
  });

  it('is refused whole when one token is wrong, and to who may not import', async () => {
    await assert.rejects(importing([token('fine'), token('wrong', { expiresAt: 1 })]), (error) => {
      assert.equal(error.statusCode, 400, `${error}`);
      assert.match(error.body, /tokens\[1\]\.expiresAt/);
      return true;
    });
    assert.equal((await server.token(CONNECTOR, user('fine'))).status, 422);
    await assert.rejects(importing([token('fine')], KEYS.member), (error) => error.statusCode === 403);
  });
});

describe('connect.createConnector', () => {
  it('makes a connector, and tells all that this SDK models of one', async () => {
    const made = await sdk().createConnector({
      type: 'slack', name: 'Helper', uid: 'slack/helper', projectId: PROJECT, environments: ['production'],
      triggers: true, events: ['app_mention'],
      backgroundColor: '#000000', accentColor: '#ffffff',
      data: {
        appId: 'A1', appName: 'Helper', clientId: 'c', clientSecret: 'never-shown', signingSecret: 'never-shown',
        botScopes: ['chat:write'], userScopes: ['users:read'],
      },
    });
    assert.match(made.id, /^scl_/);
    assert.ok(Math.abs(made.createdAt - Date.now()) < 60_000 && made.updatedAt >= made.createdAt);
    const expected = {
      ownerId: TEAM, uid: 'slack/helper', name: 'Helper', type: 'slack', typeName: 'Slack', service: 'slack', public: false,
      createdBy: { type: 'user', id: 'usr_alice' }, updatedBy: { type: 'user', id: 'usr_alice' },
      redirectUri: server.callback, supportedSubjectTypes: ['user', 'app'],
      supportsInstallation: true, supportsRevocation: true, supportsTriggers: true,
      triggers: { enabled: true }, events: ['app_mention'],
      backgroundColor: '#000000', accentColor: '#ffffff',
    };
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, made[name]])), expected);
    assert.equal(made.appTokens.crossInstallation, false);
    const { appId, appName, botScopes, userScopes } = made.data;
    assert.deepEqual([appId, appName, botScopes, userScopes], ['A1', 'Helper', ['chat:write'], ['users:read']]);
    assert.doesNotMatch(JSON.stringify(made), /never-shown/);
  });

  it('is refused in words', async () => {
    const wrong = sdk().createConnector({ type: 'slack', name: 'x', uid: 'slack/helper', data: { appId: 'A', appName: 'n', clientId: 'c', clientSecret: 's' } });
    await assert.rejects(wrong, ({ statusCode, body }) => statusCode === 409 && JSON.parse(body).error.code === 'conflict');
  });
});

describe('connect.createConnectorAuthorizationRequest, and connect.getConnectorToken of what comes of it', () => {
  const subject = { type: 'user', id: 'july', issuer: 'https://idp.example' };
  const ask = (requestBody, key = KEYS.workload) => sdk(key).createConnectorAuthorizationRequest({ connector: CONNECTOR, requestBody });
  const token = (requestBody, key = KEYS.workload) => sdk(key).getConnectorToken({ connector: CONNECTOR, requestBody });
  const code = (statusCode, code) => (error) => {
    assert.deepEqual([error.statusCode, JSON.parse(error.body).error.code], [statusCode, code], `${error}`);
    return true;
  };

  it('goes from a refusal over a link to a token', async () => {
    await assert.rejects(token({ subject }), code(422, 'user_authorization_required'));
    const before = Date.now();
    const asked = await ask({
      subject, scopes: ['*'], returnUrl: RETURN_URL, webhook: 'https://hooks.example/done', prompt: 'login', deviceCode: true,
      expiresInMs: 120_000, additionalParams: { ui_locales: 'de' },
    });
    assert.ok(asked.url.startsWith(`${server.url}/authorize/sca_`) && asked.url.endsWith(asked.request));
    assert.match(asked.deviceCode, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
    assert.ok(asked.expiresAt - before >= 119_000 && asked.expiresAt - Date.now() <= 120_000, `${asked.expiresAt - before}`);
    assert.deepEqual(asked.connector, {
      id: 'scl_flows', uid: CONNECTOR, type: 'oauth', service: 'service-scl-flows', serviceName: `Service of ${CONNECTOR}`, name: `Connector ${CONNECTOR}`,
    });
    const result = () => server.call('GET', `/v1/connect/result/${asked.verifier}`);
    assert.equal((await result()).body.status, 'pending');

    const visitor = new Visitor();
    const { page } = await visitor.open(asked.url);
    assert.ok(page.text.includes(asked.deviceCode));
    const { arrived: there } = await visitor.press(page, { stopAt: peer.url });
    assert.deepEqual([there.searchParams.get('prompt'), there.searchParams.get('ui_locales')], ['login', 'de']);
    await new Visitor().connect((await ask({ subject, returnUrl: RETURN_URL })).url, RETURN_URL);

    const served = await token({ subject, scopes: ['*'], validityBufferMs: 1000 });
    assert.equal(await peer.honours(served.token), true);
    assert.ok(served.expiresAt > Date.now());
    assert.deepEqual(served.connector, { id: 'scl_flows', uid: CONNECTOR, type: 'oauth' });
    await assert.rejects(token({ subject: { type: 'user', id: 'july' } }), code(422, 'user_authorization_required'));
  });

  it('tells what is known of an imported token', async () => {
    const facts = { name: 'Ada', externalSubject: 'U1', installation: { id: 'T2' }, tenant: { id: 'E1' }, data: { botUserId: 'U9' } };
    const expiresAt = Date.now() + 3_600_000;
    const { imported } = await sdk().importConnectorTokens({
      connector: CONNECTOR,
      requestBody: { tokens: [{ accessToken: 'at-facts', expiresAt, environment: 'production', subject: { type: 'user', id: 'facts' }, ...facts }] },
    });
    assert.equal(imported, 1);
    const served = await token({ subject: { type: 'user', id: 'facts' }, installationId: 'T2' });
    const { name, externalSubject, installationId, tenantId } = served;
    assert.deepEqual([served.token, name, externalSubject, installationId, tenantId], ['at-facts', 'Ada', 'U1', 'T2', 'E1']);
    assert.equal(served.metadata.botUserId, 'U9');
    assert.ok(Math.abs(served.expiresAt - expiresAt) < 2000);
  });

  it('is refused to whom it is not for, and for what cannot be', async () => {
    await assert.rejects(token({ subject }, KEYS.member), code(403, 'forbidden'));
    await assert.rejects(ask({ subject }, KEYS.stranger), code(404, 'not_found'));
    await assert.rejects(ask({ subject, returnUrl: 'https://evil.example/' }), code(400, 'bad_request'));
    await assert.rejects(ask({ subject, expiresInMs: 0 }), code(400, 'bad_request'));
    await assert.rejects(token({ subject: { type: 'app' } }), code(422, 'unresolved_token'));
  });
});
