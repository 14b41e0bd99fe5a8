// Connectors of which only the service is named: npm vercel, the CLI, unmodified, asks; a person registers them in a real
// browser, or a program without one.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { contrast, DESKTOP, launch, PHONE, screenshot } from './lib/browser.mjs';
import { GithubManifests } from './lib/github-manifests.mjs';
import { BIN, Grantry } from './lib/grantry.mjs';
import { run } from './lib/process.mjs';
import { VercelCli } from './lib/vercel-cli.mjs';
import { KEYS, PROJECT, TEAM, world } from './lib/world.mjs';

let server, github, browser, cli;
before(async () => {
  github = await GithubManifests.start();
  server = await Grantry.start(
    world({
      services: [
        {
          id: 'github',
          authorization_endpoint: `${github.url}/login/oauth/authorize`,
          token_endpoint: `${github.url}/login/oauth/access_token`,
          api_base_url: github.url,
        },
      ],
    }),
  );
  browser = await launch();
  cli = new VercelCli({ url: server.url, token: KEYS.admin, scope: TEAM, project: { id: PROJECT, team: TEAM, name: 'web' } });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  github?.stop();
});

const call = (method, route, body, key = KEYS.admin) => server.call(method, route, { key, body });
const seen = async (id) => (await call('GET', `/v1/connect/connectors/${encodeURIComponent(id)}`)).body;

/** A2, as the CLI asks: the address of the page, and how to poll. */
async function ask(body, query = '') {
  const verifier = randomBytes(37).toString('base64url');
  const request_code = createHash('sha256').update(verifier).digest('base64url');
  const asked = await call('POST', `/v1/connect/connectors/managed${query}`, { ...body, request_code });
  assert.equal(asked.status, 422, asked.text);
  assert.equal(asked.body.error.code, 'registration_required');
  const result = async () => (await server.call('GET', `/v1/connect/result/${verifier}`)).body;
  return { url: asked.body.error.registerUrl, result };
}

async function visit(url, settings) {
  const context = await browser.newContext({ viewport: DESKTOP, ...settings });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(`${error}`));
  await page.goto(url);
  return { page, complaints, close: () => context.close() };
}

async function fillSlack(page, { secret = 'cs-1' } = {}) {
  for (const [label, value] of Object.entries({
    'App ID': 'A012',
    'App name': 'Helper',
    'Client ID': '12.34',
    'Client secret': secret,
    'Signing secret': 'ss-1',
    'Bot scopes': 'chat:write, app_mentions:read',
  }))
    await page.getByLabel(label).fill(value);
  await page.getByRole('button', { name: /^Set up/ }).click();
  await page.waitForLoadState();
}

/** Types that are installed in a workspace or tenant, once they are set up. */
const INSTALLED = ['linear', 'microsoft-entra', 'microsoft-teams'];

describe('vercel connect create', () => {
  it('slack: opens the page, waits for the person, and sets the looks', async () => {
    const asked = cli.begin('create', 'slack', '--name', 'helper', '--accent-color', '#0a84ff', '--triggers', '--trigger-event', 'app_mention', '--format=json');
    const address = await asked.address;
    assert.ok(address.startsWith(`${server.url}/register/scr_`), address);
    const { page, complaints, close } = await visit(address, { javaScriptEnabled: false });
    const link = new URL(await page.getByRole('link', { name: 'Make the app at Slack' }).getAttribute('href'));
    const manifest = JSON.parse(link.searchParams.get('manifest_json'));
    assert.equal(link.origin, 'https://api.slack.com');
    assert.deepEqual(manifest.oauth_config.redirect_urls, [`${server.url}/callback`]);
    assert.deepEqual(manifest.oauth_config.scopes.bot, ['chat:write', 'app_mentions:read']);
    assert.match(manifest.settings.event_subscriptions.request_url, /\/trigger\/scl_/);
    await fillSlack(page);
    assert.match(await page.locator('h1').innerText(), /is set up/);
    await page.getByRole('button', { name: 'Finish without installing' }).click();
    await page.waitForLoadState();
    await close();
    const { code, out, err } = await asked.done;
    assert.equal(code, 0, err + out);
    const { id } = JSON.parse(out);
    const row = await seen(id);
    assert.deepEqual([row.name, row.type, row.uid, row.accentColor], ['helper', 'slack', 'slack/helper', '#0a84ff']);
    assert.deepEqual([row.triggers, row.events], [{ enabled: true }, ['app_mention']]);
    assert.equal((await call('GET', `/v1/connect/connectors/${id}/projects/${PROJECT}`)).status, 200);
    assert.deepEqual(complaints, []);
  });

  it('github: the app is made of a manifest, and its key signs', async () => {
    const asked = cli.begin('create', 'github', '--name', 'Acme Hub', '--connection-method', 'github-app', '--triggers', '--trigger-event', 'push', '--format=json');
    const { page, complaints, close } = await visit(await asked.address, { javaScriptEnabled: false });
    await page.getByText('For an organization').click();
    await page.getByLabel('Organization').fill('acme');
    await page.getByLabel('Permissions').fill('issues:write');
    await page.getByRole('button', { name: 'Use these' }).click();
    await page.getByRole('button', { name: /^Make the app at/ }).click();
    assert.equal(await page.locator('h1').innerText(), 'Create GitHub App');
    await page.getByRole('button', { name: 'Create GitHub App' }).click();
    await page.waitForURL(/\/register\/scr_\w+$/);
    assert.match(await page.locator('h1').innerText(), /is set up/);
    await screenshot(page, 'register-installing');
    await page.getByRole('button', { name: 'Finish without installing' }).click();
    await page.waitForLoadState();
    const install = await page.getByRole('link', { name: 'Install the app' }).getAttribute('href');
    assert.equal(install, `${github.url}/apps/acme-hub/installations/new`);
    await screenshot(page, 'register-done');
    await close();
    const { code, out, err } = await asked.done;
    assert.equal(code, 0, err + out);
    const { id } = JSON.parse(out);
    const row = await seen(id);
    const [{ app, manifest }] = github.apps;
    assert.deepEqual([row.type, row.data.appId, row.data.clientId, row.data.owner.slug], ['github', app.id, app.client_id, 'acme']);
    assert.equal(manifest.hook_attributes.url, `${server.url}/trigger/${id}`);
    assert.deepEqual(manifest.default_permissions, { contents: 'read', issues: 'write', metadata: 'read' });
    for (const secret of [app.client_secret, app.webhook_secret, 'PRIVATE KEY']) assert.ok(!JSON.stringify(row).includes(secret));
    assert.deepEqual(complaints, []);
  });

  for (const [service, type, fields] of [
    ['linear', 'linear', { 'Client ID': 'c', 'Client secret': 's', 'App scopes': 'read, write' }],
    ['discord', 'discord', { 'Application ID': '1', 'Bot token': 'bot' }],
    ['microsoft-entra', 'microsoft-entra', { 'Client ID': 'c', 'Client secret': 's', 'Tenant ID': 'acme.example' }],
    ['microsoft-teams', 'microsoft-teams', { 'App ID': 'c', 'Client secret': 's' }],
    ['sendblue', 'sendblue', { 'API key ID': 'i', 'API secret key': 's', 'Phone numbers': '+14155550100 +4930123456' }],
    ['photon', 'photon', { 'Project ID': 'p', 'Project secret': 's' }],
    ['linq', 'linq', { 'API token': 'k' }],
  ])
    it(`${service}: asks for what its own type takes`, async () => {
      const asked = cli.begin('create', service, '--name', `own ${service}`, '--format=json');
      const { page, complaints, close } = await visit(await asked.address, { javaScriptEnabled: false });
      for (const [label, value] of Object.entries(fields)) await page.getByLabel(label).fill(value);
      await page.getByRole('button', { name: /^Set up/ }).click();
      await page.waitForLoadState();
      assert.match(await page.locator('h1').innerText(), /is set up/);
      // What is installed in workspaces can be now, which the CLI waits for.
      if (INSTALLED.includes(type)) await page.getByRole('button', { name: 'Finish without installing' }).click();
      await page.waitForLoadState();
      await close();
      const { code, out, err } = await asked.done;
      assert.equal(code, 0, err + out);
      const row = await seen(JSON.parse(out).id);
      assert.deepEqual([row.type, row.service], [type, service]);
      if (service === 'linear') assert.deepEqual(row.data.appScopes, ['read', 'write']);
      if (service === 'sendblue') assert.deepEqual(row.data.phoneNumbers, ['+14155550100', '+4930123456']);
      assert.deepEqual(complaints, []);
    });

  it('is told that the person said no', async () => {
    const asked = cli.begin('create', 'notion', '--name', 'no', '--format=json');
    const { page, close } = await visit(await asked.address);
    await page.getByRole('link', { name: 'Cancel' }).click();
    await screenshot(page, 'register-cancel');
    await page.getByRole('button', { name: 'Do not set up' }).click();
    await page.waitForLoadState();
    assert.match(await page.locator('h1').innerText(), /Nothing was set up/);
    await close();
    const { code, err } = await asked.done;
    assert.notEqual(code, 0);
    assert.match(err, /canceled/i);
  });

  it('is told what is wrong, and nobody is sent anywhere', async () => {
    const { code, err } = await cli.run('create', 'pigeon-post', '--name', 'x');
    assert.notEqual(code, 0);
    assert.match(err, /pigeon-post/);
  });
});

describe('the page', () => {
  it('names what is wrong, keeps what was typed, and shows no secret again', async () => {
    const { url, result } = await ask({ service: 'salesforce', name: 'crm', connectionMethod: 'connected-app' });
    const { page, close } = await visit(url);
    await page.getByLabel('Consumer key').fill('key-1');
    await page.getByLabel('Consumer secret').fill('typed-secret');
    const host = page.getByLabel('Login host');
    await host.fill('a/b');
    await page.getByRole('button', { name: /^Set up/ }).click();
    await page.waitForLoadState();
    await screenshot(page, 'register-wrong');
    assert.equal(await page.getByLabel('Consumer key').inputValue(), 'key-1');
    assert.equal(await page.getByLabel('Consumer secret').inputValue(), '');
    assert.ok(!(await page.content()).includes('typed-secret'));
    const wrong = page.locator('.problem, .notice').first();
    assert.match(await wrong.innerText(), /login/i);
    assert.ok((await contrast(wrong)) >= 4.5);
    assert.deepEqual(await result(), { status: 'pending' });
    await host.fill('login.salesforce.com');
    await page.getByLabel('Consumer secret').fill('typed-secret');
    await page.getByRole('button', { name: /^Set up/ }).click();
    await page.waitForLoadState();
    assert.equal((await result()).status, 'success');
    await close();
  });

  it('lives through a crash of the server, and is used once', async () => {
    const { url, result } = await ask({ service: 'notion', name: 'durable' });
    await server.kill();
    await server.serve();
    const [first, second] = [await visit(url), await visit(url)];
    for (const { page } of [first, second]) {
      await page.getByLabel('Client ID').fill('cid');
      await page.getByLabel('Client secret').fill('cs');
    }
    for (const { page } of [first, second]) {
      await page.getByRole('button', { name: /^Set up/ }).click();
      await page.waitForLoadState();
      assert.match(await page.locator('h1').innerText(), /is set up/);
    }
    const { data } = await result();
    const { body } = await call('GET', '/v1/connect/connectors?search=durable');
    assert.deepEqual(body.clients.map(({ id }) => id), [data.clientId]);
    await Promise.all([first.close(), second.close()]);
  });

  for (const [device, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP }))
    for (const colorScheme of ['light', 'dark'])
      for (const service of ['slack', 'github', 'notion'])
        it(`fits a ${device} and can be read, ${colorScheme}: ${service}`, async () => {
          const { url } = await ask({ service, name: `Look ${device} ${colorScheme}`, triggers: { enabled: true }, events: [] });
          const { page, complaints, close } = await visit(url, { viewport, colorScheme });
          await screenshot(page, `register-${service}-${device}-${colorScheme}`);
          const width = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(width <= viewport.width, `${width}`);
          assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
          assert.equal(await page.locator('script').count(), 0);
          const parts = ['h1', '.go', 'a.quiet', ...(service === 'github' ? ['summary'] : ['label', '.small', 'li'])];
          for (const part of parts) {
            const ratio = await contrast(page.locator(part).first());
            assert.ok(ratio >= 4.5, `${part}: ${ratio}`);
          }
          const box = await page.locator('.go').first().boundingBox();
          assert.ok(box.height >= 44, JSON.stringify(box));
          assert.deepEqual(complaints, []);
          await close();
        });
});

describe('without a browser', () => {
  const grantry = (...args) =>
    run(BIN, args, { env: { GRANTRY_URL: server.url, GRANTRY_KEY: KEYS.admin, NOTION_SECRET: 'cs-from-env' } });

  it('a program asks, completes and looks', async () => {
    const asked = JSON.parse(await grantry('connectors', 'register', 'notion', '--name', 'scripted', '--project', 'web', '--json'));
    assert.equal(asked.status, 'pending');
    await assert.rejects(grantry('connectors', 'register', '--complete', asked.id, '--client-secret-env', 'NOTION_SECRET'), /clientId/);
    const done = JSON.parse(await grantry('connectors', 'register', '--complete', asked.id, '--client-id', 'cid', '--client-secret-env', 'NOTION_SECRET', '--json'));
    assert.equal(done.status, 'done');
    assert.equal((await seen(done.connector)).name, 'scripted');
    const looked = JSON.parse(await grantry('connectors', 'register', '--status', asked.id, '--json'));
    assert.deepEqual(looked, done);
    await assert.rejects(grantry('connectors', 'register', '--complete', asked.id, '--client-id', 'cid'), /ended/);
    await assert.rejects(grantry('connectors', 'register', '--cancel', asked.id), /ended/);
  });

  it('nobody else does', async () => {
    const asked = await call('POST', '/api/v1/setups', { service: 'notion', name: 'theirs' });
    for (const [key, status] of [[KEYS.stranger, 404], [KEYS.member, 403], [KEYS.workload, 403], [null, 401]]) {
      const refused = await call('POST', `/api/v1/setups/${asked.body.id}/complete`, { data: { clientId: 'cid' } }, key);
      assert.equal(refused.status, status, refused.text);
    }
  });
});
