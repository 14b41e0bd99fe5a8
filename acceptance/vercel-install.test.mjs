// Installations and completion webhooks: npm @vercel/connect, current and of June, unmodified, through the module that
// we ship; signatures by npm standardwebhooks.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import '../clients/connect-redirect.mjs';
import * as current from '@vercel/connect';
import { Vercel } from '@vercel/sdk';
import { Webhook } from 'standardwebhooks';
import * as june from 'vercel-connect-0.7.0';
import { contrast, launch, PHONE, screenshot } from './lib/browser.mjs';
import { Grantry } from './lib/grantry.mjs';
import { until } from './lib/process.mjs';
import { DEMO, Sandbox } from './lib/sandbox.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

const bot = (id, workspace, environments = ['production']) => ({
  id,
  uid: `sandbox/${id}`,
  team: TEAM,
  name: `Bot ${workspace}`,
  type: 'oauth',
  service: 'sandbox',
  data: {
    clientId: DEMO.id,
    clientSecret: DEMO.secret,
    installation: { enabled: true, id: '/team/id', name: '/team/name', params: { workspace } },
  },
  links: [{ project: PROJECT, environments }],
});

const directory = (id, type, client) => ({
  id,
  uid: `sandbox/${id}`,
  team: TEAM,
  name: `Directory ${id}`,
  type,
  data: { [client]: DEMO.id, clientSecret: DEMO.secret },
  links: [{ project: PROJECT, environments: ['production'] }],
});

let server, sandbox, workload, receiver;
const received = [];
/** What the receiver answers next; 200 when there is nothing. */
const answers = [];
before(async () => {
  server = await Grantry.start();
  sandbox = await Sandbox.start({ accessTtl: 60 });
  const document = world({
    services: [
      {
        id: 'sandbox',
        name: 'Sandbox',
        kind: 'oauth2',
        issuer: sandbox.url,
        authorization_endpoint: `${sandbox.url}/authorize`,
        token_endpoint: `${sandbox.url}/token`,
        revocation_endpoint: `${sandbox.url}/revoke`,
      },
      // The catalogue's, at the sandbox.
      ...['microsoft-entra', 'microsoft-teams'].map((id) => ({
        id,
        authorization_endpoint: `${sandbox.url}/entra/{tenant}/oauth2/v2.0/authorize`,
        token_endpoint: `${sandbox.url}/entra/{tenant}/oauth2/v2.0/token`,
        admin_consent_endpoint: `${sandbox.url}/entra/{tenant}/v2.0/adminconsent`,
      })),
    ],
    connectors: [
      bot('scl_current', 'T1'),
      bot('scl_june', 'T2'),
      bot('scl_page', 'T3'),
      bot('scl_all', 'T4', ['production', 'preview']),
      directory('scl_entra_current', 'microsoft-entra', 'clientId'),
      directory('scl_teams_june', 'microsoft-teams', 'appId'),
    ],
  });
  await server.apply(document);
  process.env.GRANTRY_URL = server.url;
  workload = { vercelToken: await server.workloadToken(PROJECT, 'production') };
  receiver = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    received.push({ headers: request.headers, body });
    response.writeHead(answers.shift() ?? 200).end();
  });
  await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  receiver?.close();
  await server?.stop();
  await sandbox?.stop();
});

const hook = (path) => `http://127.0.0.1:${receiver.address().port}/${path}`;

/** The news of `request`, with its signature checked by the secret that an admin reads. */
async function news(request, count = 1) {
  const of = () => received.filter(({ body }) => body.includes(request));
  await until(async () => of().length >= count, `${count} webhooks about ${request}`, 20);
  const { status, body, text } = await server.call('GET', '/api/v1/webhook-secret', { key: KEYS.admin });
  assert.equal(status, 200, text);
  return of().map(({ headers, body: raw }) => ({
    id: headers['webhook-id'],
    ...new Webhook(body.secret).verify(raw, headers),
  }));
}

for (const [name, connect, connector, workspace] of [
  ['current', current, 'sandbox/scl_current', 'T1'],
  ['of June', june, 'sandbox/scl_june', 'T2'],
])
  describe(`the package that is ${name}`, () => {
    const params = { subject: { type: 'app' } };
    const token = (more) =>
      connect.getTokenResponse(connector, { ...params, ...more }, { ...workload, forceRefresh: true });

    it('is told that the application is not installed, and where to do so', async () => {
      await assert.rejects(token(), connect.ConnectorInstallationRequiredError ?? connect.ClientInstallationRequiredError);
      const refused = await server.token(connector, { key: KEYS.workload, subject: { type: 'app' } });
      assert.equal(refused.status, 422, refused.text);
      assert.equal(refused.body.error.code, 'client_installation_required');
      assert.ok(refused.body.error.authorizationUrl.startsWith(`${server.url}/install/sci_`));
    });

    it('starts an installation, hears that it is done, and gets its tokens', async () => {
      const started = await connect.experimental_startInstallation(
        connector,
        {},
        { ...workload, returnUrl: RETURN_URL, tenantId: workspace, deviceCode: true },
      );
      assert.match(started.request, /^sci_/);
      assert.ok(started.url.includes('/install/sci_') && started.deviceCode && started.expiresAt > Date.now());
      assert.equal(started.connector.uid, connector);
      const polled = () => server.call('GET', `/v1/connect/result/${started.verifier}`);
      assert.equal((await polled()).body.status, 'pending');

      await new Visitor().connect(started.url, RETURN_URL);
      const { body } = await polled();
      assert.deepEqual(body, { status: 'success', data: { clientId: body.data.clientId, installationId: workspace } });

      const byDefault = await token();
      const byName = await token({ installationId: workspace });
      assert.equal(byDefault.token, byName.token);
      assert.equal(byDefault.installationId, workspace);
      assert.equal(await sandbox.honours(byDefault.token), true);
      await assert.rejects(token({ installationId: 'elsewhere' }));

      const metadata = await connect.getConnectorMetadata?.(connector, workload);
      if (metadata) assert.equal(metadata.supportsInstallation, true);
    });

    it('ends the installation’s tokens', async () => {
      const { token: ending } = await token();
      await connect.revokeToken(connector, { ...params, installationId: workspace }, workload);
      assert.equal(await sandbox.honours(ending), false);
      await assert.rejects(token());
    });
  });

describe('an installation that was made from one environment', () => {
  const connector = 'sandbox/scl_all';
  const install = async (key) => {
    const { body, text } = await server.call('POST', `/v1/connect/install/${encodeURIComponent(connector)}`, {
      key,
      body: { returnUrl: RETURN_URL },
    });
    assert.ok(body.url, text);
    await new Visitor().connect(body.url, RETURN_URL);
  };
  const token = async (environment) => {
    const options = { vercelToken: await server.workloadToken(PROJECT, environment), forceRefresh: true };
    return current.getTokenResponse(connector, { subject: { type: 'app' } }, options);
  };
  const connections = async () => {
    const route = '/api/v1/connections?connector=scl_all&limit=100';
    return (await server.call('GET', route, { key: KEYS.admin })).body.data;
  };

  it('has its tokens in each that is linked, and in no other', async () => {
    await install(KEYS.admin);
    const production = await token('production');
    const preview = await token('preview');
    assert.deepEqual([preview.token, preview.installationId], [production.token, 'T4']);
    assert.equal(await sandbox.honours(preview.token), true);
    await assert.rejects(token('development'), ({ status, code }) => status === 403 && code === 'forbidden');
    const { appTokens, userTokens } = (await server.call('GET', '/v1/connect/connectors/scl_all', { key: KEYS.admin })).body;
    assert.deepEqual([appTokens.requiresReinstallation, userTokens.requiresReinstallation], [true, undefined]);
  });

  it('is renewed, and not doubled, by another', async () => {
    const [before] = await connections();
    const old = await token('production');
    await install(await server.workloadToken(PROJECT, 'preview'));
    const after = await connections();
    assert.deepEqual(after.map(({ id }) => id), [before.id]);
    const renewed = await token('production');
    assert.notEqual(renewed.token, old.token);
    assert.equal((await token('preview')).token, renewed.token);
    assert.equal(await sandbox.honours(renewed.token), true);
  });

  it('has to be made again, by npm @vercel/sdk, from when its application asks for more until it is', async () => {
    const sdk = new Vercel({ serverURL: server.url, bearerToken: KEYS.admin }).connect;
    const read = () => sdk.getConnector({ teamId: TEAM, connector: 'scl_all' });
    const native = async (path) => (await server.call('GET', `/api/v1/connectors/scl_all${path}`, { key: KEYS.admin })).body;
    const { installation } = (await native('')).data;
    const ask = (...scopes) =>
      sdk.updateConnector({
        teamId: TEAM,
        connector: 'scl_all',
        connectUpdateConnectorRequest: { data: { installation: { ...installation, scopes } } },
      });
    assert.equal((await read()).reinstallAt, undefined);
    const before = Date.now();
    const first = await ask('email');
    const { reinstallAt } = first.connector;
    assert.equal(first.reinstallNeeded, true);
    assert.ok(before <= reinstallAt && reinstallAt <= Date.now(), `${reinstallAt}`);
    const second = await ask('email', 'profile');
    assert.deepEqual([second.reinstallNeeded, second.connector.reinstallAt], [true, reinstallAt], 'it stays when it began');
    assert.equal((await read()).reinstallAt, reinstallAt);
    const outdated = async () => (await native('/installations')).data.map((row) => row.outdated);
    assert.equal(Math.floor(Date.parse((await native('')).reinstall_at)), reinstallAt);
    assert.deepEqual(await outdated(), [true]);
    await token('production');
    await install(KEYS.admin);
    assert.deepEqual([(await read()).reinstallAt, (await native('')).reinstall_at, await outdated()], [undefined, null, [false]]);
    assert.equal((await ask('email')).reinstallNeeded, undefined);
    assert.equal((await read()).reinstallAt, undefined);
  });
});

for (const [name, connect, connector] of [
  ['current, microsoft-entra', current, 'sandbox/scl_entra_current'],
  ['of June, microsoft-teams', june, 'sandbox/scl_teams_june'],
])
  describe(`tenants of Microsoft by the package that is ${name}`, () => {
    const tenants = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'];
    const token = (more) =>
      connect.getTokenResponse(connector, { subject: { type: 'app' }, ...more }, { ...workload, forceRefresh: true });
    const install = async (tenantId, visitor = new Visitor()) => {
      const started = await connect.experimental_startInstallation(connector, {}, { ...workload, returnUrl: RETURN_URL, tenantId });
      await visitor.connect(started.url, RETURN_URL);
      return (await server.call('GET', `/v1/connect/result/${started.verifier}`)).body;
    };

    it('are installed in by an administrator, each with tokens of its own', async () => {
      const missing = connect.ConnectorInstallationRequiredError ?? connect.ClientInstallationRequiredError;
      await assert.rejects(token(), missing);
      for (const tenant of tenants) {
        const ended = await install(tenant);
        assert.deepEqual([ended.status, ended.data?.installationId], ['success', tenant]);
      }
      const [first, second] = await Promise.all(tenants.map((installationId) => token({ installationId })));
      assert.notEqual(first.token, second.token);
      assert.deepEqual([first.installationId, second.installationId], tenants);
      assert.equal((await token()).token, first.token, 'the default installation');
      for (const { token: live } of [first, second]) assert.equal(await sandbox.honours(live), true);
      await assert.rejects(token({ installationId: 'ffffffff-ffff-4fff-8fff-ffffffffffff' }), missing);
    });

    it('are one resource at a time, in the tenant that is named', async () => {
      const [, installationId] = tenants;
      const scopes = ['https://vault.azure.net/.default'];
      const narrowed = await token({ installationId, scopes });
      assert.notEqual(narrowed.token, (await token({ installationId })).token);
      assert.equal((await token({ installationId, scopes })).token, narrowed.token);
    });

    it('are refused by name before anybody is sent there, where they are none', async () => {
      const key = KEYS.admin;
      for (const tenantId of ['contoso.example', '../common', 'common']) {
        const { status, text } = await server.call('POST', `/v1/connect/install/${encodeURIComponent(connector)}`, { key, body: { tenantId } });
        assert.equal(status, 400, text);
        assert.match(text, /tenantId/);
      }
    });
  });

describe('a webhook', () => {
  const ask = (path, more) =>
    server.call('POST', `/v1/connect/install/${encodeURIComponent('sandbox/scl_page')}`, {
      key: KEYS.admin,
      body: { webhook: hook(path), returnUrl: RETURN_URL, ...more },
    });

  it('tells of a success, signed, with what to ask about and no token', async () => {
    const { body, text } = await ask('done');
    assert.ok(body.url, text);
    await new Visitor().connect(body.url, RETURN_URL);
    const [told] = await news(body.request);
    assert.equal(told.type, 'installation.success');
    assert.equal(told.id, `msg_${body.request}`);
    const { data } = told;
    assert.deepEqual([data.request, data.status, data.installationId], [body.request, 'success', 'T3']);
    assert.equal(data.connector.uid, 'sandbox/scl_page');
    assert.doesNotMatch(JSON.stringify(told), /at_|rt_|verifier/);
  });

  it('is sent again until it is taken, under the same id', async () => {
    answers.push(503);
    const { body } = await ask('busy');
    await new Visitor().connect(body.url, RETURN_URL);
    const told = await news(body.request, 2);
    assert.deepEqual(told[0], told[1]);
  });

  it('tells that the user said no, and that another tenant was chosen', async () => {
    const { body: declined } = await ask('declined');
    const refusal = await fetch(declined.url, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ action: 'decline' }),
    });
    assert.equal(refusal.status, 303);
    assert.equal((await news(declined.request))[0].type, 'installation.canceled');

    const { body: other } = await ask('other', { tenantId: 'T-other' });
    await new Visitor().connect(other.url, RETURN_URL);
    const [told] = await news(other.request);
    assert.deepEqual([told.type, told.data.error], ['installation.error', { code: 'other_tenant' }]);
  });

  it('is signed with the new and the old secret while both hold', async () => {
    const before = (await server.call('GET', '/api/v1/webhook-secret', { key: KEYS.admin })).body;
    const rotated = await server.call('POST', '/api/v1/webhook-secret', { key: KEYS.admin });
    assert.equal(rotated.status, 201, rotated.text);
    assert.notEqual(rotated.body.secret, before.secret);
    const { body } = await ask('rotated');
    await new Visitor().connect(body.url, RETURN_URL);
    await news(body.request);
    const { headers, body: raw } = received.find((one) => one.body.includes(body.request));
    assert.equal(headers['webhook-signature'].split(' ').length, 2);
    for (const { secret } of [before, rotated.body]) assert.ok(new Webhook(secret).verify(raw, headers));
    for (const key of [KEYS.member, KEYS.workload, KEYS.tokenOnly])
      assert.equal((await server.call('GET', '/api/v1/webhook-secret', { key })).status, 403);
  });

  it('must be https, or on loopback as the server is', async () => {
    for (const webhook of ['http://hooks.example/x', 'ftp://hooks.example', 'hooks', 'https://a:b@hooks.example']) {
      const { status, text } = await ask('', { webhook });
      assert.equal(status, 400, text);
      assert.match(text, /webhook/);
    }
  });
});

it('the page says that it installs, and can be read', async () => {
  const browser = await launch();
  const { body } = await server.call('POST', '/v1/connect/install/scl_page', { key: KEYS.admin, body: {} });
  for (const colorScheme of ['light', 'dark']) {
    const context = await browser.newContext({ viewport: PHONE, colorScheme });
    const page = await context.newPage();
    await page.goto(body.url);
    await screenshot(page, `install-phone-${colorScheme}`);
    assert.equal(await page.locator('h1').innerText(), 'Install in Sandbox');
    assert.equal(await page.getByRole('button').innerText(), 'Install in Sandbox');
    for (const part of ['h1', 'p', 'button']) {
      const ratio = await contrast(page.locator(part).first());
      assert.ok(ratio >= 4.5, `${part}: ${ratio}`);
    }
    await context.close();
  }
  await browser.close();
});
