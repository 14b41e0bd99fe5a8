// npm and PyPI datagrid-ai, unmodified, with another base URL, and the hosted page in a real browser.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import path from 'node:path';
import Datagrid from 'datagrid-ai';
import { launch } from './lib/browser.mjs';
import { Grantry } from './lib/grantry.mjs';
import { Peer } from './lib/peers.mjs';
import { run, until } from './lib/process.mjs';
import { Visitor } from './lib/visitor.mjs';
import { connectorOf, KEYS, world } from './lib/world.mjs';

const here = import.meta.dirname;
const ACCOUNT_KEY = 'tok_acceptance_account';
const CONNECTOR = 'connector_id';

let server, peer, browser;
before(async () => {
  server = await Grantry.start(undefined, { config: '[hosts]\n"api.datagrid.com" = "datagrid"\n' });
  peer = await Peer.start('oidc-provider', { callbacks: [server.callback] });
  const { services } = connectorOf(peer, { id: 'scl_unused', uid: 'unused' });
  const service = {
    ...services[0],
    id: CONNECTOR,
    name: 'Example',
    token_endpoint_auth_method: 'client_secret_basic',
    authorize_params: { prompt: 'consent' },
  };
  await server.apply(
    world({ services: [service], keys: [{ account: 'acc_1', level: 'account', role: 'admin', token: ACCOUNT_KEY }] }),
  );
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await peer?.stop();
});

/** What was sent last, as the SDK sent it. */
let sent;
const sdk = (apiKey = ACCOUNT_KEY, settings = {}) =>
  new Datagrid({
    apiKey,
    baseURL: `${server.url}/datagrid/v1`,
    fetch: (url, init) => {
      sent = { url, init, tries: (sent?.tries ?? 0) + 1 };
      return fetch(url, init);
    },
    ...settings,
  });

const provider = (fields) =>
  sdk().connectionProviders.create({
    name: 'name',
    connector_id: CONNECTOR,
    client_id: 'conf',
    client_secret: 'conf-secret',
    ...fields,
  });

async function all(list) {
  const rows = [];
  for await (const row of list) rows.push(row);
  return rows;
}

const fails = (Kind, error) => (thrown) => {
  assert.ok(thrown instanceof Kind, `${thrown}`);
  assert.equal(thrown.error.error, error);
  assert.equal(thrown.error.status_code, thrown.status);
  assert.equal(thrown.message, `${thrown.status} ${thrown.error.message}`);
  return true;
};
const missing = fails(Datagrid.NotFoundError, 'resource_not_found');
const wrong = fails(Datagrid.BadRequestError, 'validation_failed');
const clash = fails(Datagrid.ConflictError, 'conflict');

describe('npm datagrid-ai', () => {
  it('makes, reads, changes and deletes a connection provider; a new secret has a new id', async () => {
    const { connectionProviders, secrets } = sdk();
    const made = await provider();
    assert.deepEqual(
      { ...made, id: 0, client_secret_id: 0, created_at: 0, updated_at: 0 },
      { object: 'connection_provider', id: 0, name: 'name', connector_id: CONNECTOR, client_id: 'conf', client_secret_id: 0, created_at: 0, updated_at: 0 },
    );
    assert.ok(Math.abs(Date.parse(made.created_at) - Date.now()) < 60_000);
    assert.deepEqual(await connectionProviders.retrieve(made.id), made);
    assert.deepEqual(await connectionProviders.update(made.id, {}), made);
    const changed = await connectionProviders.update(made.id, { name: 'other', client_secret: 'second' });
    assert.equal(changed.name, 'other');
    assert.notEqual(changed.client_secret_id, made.client_secret_id);
    assert.equal((await secrets.retrieve(changed.client_secret_id)).object, 'secret');
    await assert.rejects(secrets.retrieve(made.client_secret_id), missing);
    await assert.rejects(secrets.delete(changed.client_secret_id), clash);
    assert.deepEqual(await connectionProviders.delete(made.id), null);
    for (const call of ['retrieve', 'delete']) await assert.rejects(connectionProviders[call](made.id), missing);
    await assert.rejects(connectionProviders.update('no/such id', {}), missing);
  });

  it('turns the pages of every list to its end, also when it deletes what it reads', async () => {
    const client = sdk();
    const made = [];
    for (let n = 0; n < 5; n++) made.unshift((await client.secrets.create({ name: `paged ${n}`, value: 'v' })).id);
    const ids = (rows) => rows.map(({ id }) => id);
    assert.deepEqual(ids(await all(client.secrets.list({ limit: 2 }))).filter((id) => made.includes(id)), made);
    const back = ids(await all(client.secrets.list({ limit: 2, before: made[4] })));
    assert.deepEqual(back.filter((id) => made.includes(id)), [made[2], made[3], made[0], made[1]]);
    const first = await client.secrets.list({ limit: 2, before: made[3] });
    assert.deepEqual(ids(first.data), made.slice(1, 3));
    assert.deepEqual((await client.secrets.list({ after: 'after', before: 'before', limit: 1 })).data, []);
    const deleted = [];
    for await (const { id } of client.secrets.list({ limit: 2 })) {
      await client.secrets.delete(id);
      deleted.push(id);
    }
    for (const id of made) assert.ok(deleted.includes(id));
    assert.deepEqual(await all(client.secrets.list()), []);
    await assert.rejects(async () => client.secrets.list({ limit: 101 }), wrong);

    const connectors = await all(client.connectors.list({ limit: 50 }));
    assert.ok(connectors.length > 100);
    const known = connectors.find(({ id }) => id === CONNECTOR);
    assert.deepEqual(known, {
      object: 'connector',
      id: CONNECTOR,
      name: 'Example',
      oauth_app_settings: { redirect_uri: server.callback, scopes: ['openid', 'offline_access', 'api:read'] },
    });
    assert.equal(connectors.find(({ id }) => id === 'sendgrid').oauth_app_settings, null);
  });

  it('knows who it is, and chooses its teamspace by the header if its key is in none', async () => {
    assert.deepEqual(await sdk(KEYS.member).identity.retrieve(), {
      object: 'identity',
      user_id: 'usr_bob',
      current_teamspace_id: 'team_1',
      teamspaces: [{ teamspace_id: 'team_1', permissions: { role: 'member' } }],
    });
    const at = async (key, teamspace) => (await sdk(key, { teamspace }).identity.retrieve()).current_teamspace_id;
    assert.equal(await at(ACCOUNT_KEY), 'team_1');
    assert.equal(await at(ACCOUNT_KEY, 'team_2'), 'team_2');
    assert.equal(await at(KEYS.admin, 'team_2'), 'team_1');
    await assert.rejects(at(ACCOUNT_KEY, 'team_3'), missing);
    const there = sdk(ACCOUNT_KEY, { teamspace: 'team_2' });
    const { id } = await there.secrets.create({ name: 'n', value: 'v' });
    await assert.rejects(sdk().secrets.retrieve(id), missing);
    assert.equal((await sdk(KEYS.stranger).secrets.retrieve(id)).id, id);
  });

  it('runs the organization: credits, teamspaces, invitations, people, MCP servers', async () => {
    const { organization } = sdk();
    const { teamspaces, users, mcpServers } = organization;
    assert.deepEqual(await organization.credits.get(), { remaining: 1_000_000, consumed: 0, total: 1_000_000 });

    const made = await teamspaces.create({ name: 'name', access: 'open' });
    assert.deepEqual([made.name, made.access, made.cloud_provider], ['name', 'open', 'gcp']);
    assert.deepEqual(await teamspaces.retrieve(made.id), made);
    assert.equal((await teamspaces.patch(made.id, { access: 'closed' })).access, 'closed');
    assert.deepEqual(await teamspaces.patch(made.id, {}), { ...made, access: 'closed' });
    assert.ok((await all(teamspaces.list({ limit: 1 }))).some(({ id }) => id === made.id));
    await assert.rejects(teamspaces.retrieve('teamspace_id'), missing);

    const permissions = { role: 'admin', agent_ids: ['string'] };
    const pending = await teamspaces.invites.create(made.id, { email: 'dev@stainless.com', permissions });
    assert.deepEqual(pending, { id: pending.id, email: 'dev@stainless.com', permissions, status: 'pending', accepted_at: null });
    const accepted = await teamspaces.invites.create(made.id, { email: 'bob@example.com' });
    assert.deepEqual([accepted.status, accepted.permissions], ['accepted', { role: 'member' }]);
    assert.deepEqual(await teamspaces.invites.retrieve(made.id, pending.id), pending);
    assert.deepEqual((await all(teamspaces.invites.list(made.id, { limit: 1 }))).map(({ id }) => id), [accepted.id, pending.id]);
    assert.equal(await teamspaces.invites.delete(made.id, pending.id), null);
    await assert.rejects(teamspaces.invites.retrieve(made.id, pending.id), missing);

    const bob = { id: 'usr_bob', email: 'bob@example.com', first_name: 'Bob', last_name: 'Brown' };
    assert.deepEqual(await all(teamspaces.users.list(made.id)), [{ ...bob, permissions: { role: 'member' } }]);
    assert.deepEqual(await all(teamspaces.users.list(made.id, { search: 'nobody' })), []);
    for (const permissions of [{ role: 'admin', agent_ids: ['string'] }, { role: 'agent-specific', agent_ids: [] }]) {
      assert.deepEqual(await teamspaces.users.update(made.id, 'usr_bob', permissions), { ...bob, permissions });
      assert.deepEqual(await teamspaces.users.retrieve(made.id, 'usr_bob'), { ...bob, permissions });
    }
    assert.equal(await teamspaces.users.delete(made.id, 'usr_bob'), null);
    await assert.rejects(teamspaces.users.retrieve(made.id, 'usr_bob'), missing);

    assert.deepEqual((await all(users.list({ limit: 1 }))).map(({ id }) => id), ['usr_alice', 'usr_bob', 'usr_eve']);
    assert.deepEqual((await all(users.list({ search: 'EVE' }))).map(({ id }) => id), ['usr_eve']);
    assert.equal((await users.update('usr_bob', { role: 'admin' })).permissions.role, 'admin');
    assert.deepEqual(await users.retrieve('usr_bob'), { ...bob, permissions: { role: 'admin' } });
    await users.update('usr_bob', { role: 'member' });
    sent = undefined;
    await assert.rejects(users.update('usr_alice', { role: 'admin' }), clash);
    assert.equal(sent.tries, 1, 'a conflict that will stay one is not tried again');

    const mcp = await mcpServers.create({
      name: 'name',
      base_url: 'https://example.com',
      authorization: 'authorization',
      authorization_secret_id: 'authorization_secret_id',
      icon_url: 'icon_url',
      protocol_version: 'protocol_version',
      transport: 'http',
    });
    assert.deepEqual(
      [mcp.object, mcp.name, mcp.base_url, mcp.icon_url, mcp.protocol_version, mcp.transport, mcp.metadata],
      ['mcp_server', 'name', 'https://example.com', 'icon_url', 'protocol_version', 'http', null],
    );
    assert.match(mcp.authorization_secret_id, /^sec_/);
    assert.deepEqual(await mcpServers.retrieve(mcp.id), mcp);
    assert.deepEqual(await mcpServers.update(mcp.id, {}), mcp);
    assert.equal((await mcpServers.update(mcp.id, { authorization: null })).authorization_secret_id, null);
    assert.deepEqual((await mcpServers.list()).data.map(({ id }) => id), [mcp.id]);
    assert.equal(await mcpServers.delete(mcp.id), null);
    await assert.rejects(mcpServers.retrieve(mcp.id), missing);
  });

  it('is told what is wrong, and nothing is stored', async () => {
    const before = await all(sdk().connectionProviders.list());
    await assert.rejects(provider({ name: 'x'.repeat(301) }), wrong);
    await assert.rejects(provider({ connector_id: 'nope' }), wrong);
    await assert.rejects(provider({ bogus: 1 }), (error) => /property bogus should not exist/.test(error.message));
    assert.deepEqual(await all(sdk().connectionProviders.list()), before);
    await assert.rejects(sdk('nobody').identity.retrieve(), fails(Datagrid.AuthenticationError, 'no_authentication'));
    await assert.rejects(sdk(KEYS.member).secrets.list(), fails(Datagrid.PermissionDeniedError, 'forbidden'));
    for (const method of ['get', 'delete']) await assert.rejects(sdk()[method]('/_stainless_unknown_path'), missing);
  });

  it('repeats a POST under an idempotency key without making a second thing', async () => {
    const headers = { 'Idempotency-Key': 'once' };
    const make = (value) => sdk().secrets.create({ name: 'once', value }, { headers });
    const first = await make('v');
    assert.deepEqual(await make('v'), first);
    await assert.rejects(make('other'), clash);
  });

  it('reaches us by the name of its own host, where that is mapped', async () => {
    // As the SDK does with a name service or proxy of its operator's: the same request, the Host header of the vendor.
    const { port } = new URL(server.url);
    const asked = http.request({
      port,
      path: '/v1/identity',
      headers: { host: 'api.datagrid.com', authorization: `Bearer ${ACCOUNT_KEY}` },
    });
    asked.end();
    const [answer] = await once(asked, 'response');
    const body = JSON.parse(Buffer.concat(await answer.toArray()));
    assert.deepEqual([answer.statusCode, body], [200, await sdk().identity.retrieve()]);
  });

  it('is told of its limit by every answer', async () => {
    const { response } = await sdk(KEYS.admin).secrets.list().withResponse();
    const number = (name) => Number(response.headers.get(name));
    assert.equal(number('x-ratelimit-limit'), 200);
    assert.ok(number('x-ratelimit-remaining') < 200);
    assert.ok(Math.abs(number('x-ratelimit-reset') - Date.now() / 1000) <= 62);
  });
});

/** An app that frames a link, or opens it, and keeps what it is told; gone when the test `t` is over. */
async function app(t) {
  const html = `<!doctype html><title>app</title><script>
    window.told = [];
    addEventListener('message', ({ origin, data }) => told.push({ origin, ...data }));
  </script>`;
  const listener = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end(html));
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const origin = `http://localhost:${listener.address().port}`;
  t.after(() => {
    listener.closeAllConnections();
    listener.close();
  });
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(origin);
  const told = (type) => page.evaluate((type) => told.filter((one) => one.type === `datagrid-api/${type}`), type);
  return { origin, context, page, told };
}

describe('the hosted page', () => {
  let theirs;
  before(async () => (theirs = await provider()));

  const link = async (fields) => {
    const { object, redirect_url: url } = await sdk().connections.create({
      connector_id: CONNECTOR,
      connection_provider_id: theirs.id,
      ...fields,
    });
    assert.equal(object, 'redirect_url');
    return url;
  };
  const frame = (page, url) =>
    page.evaluate((src) => {
      const frame = document.createElement('iframe');
      Object.assign(frame, { src, width: 500, height: 600 });
      document.body.replaceChildren(frame);
    }, url);

  it('connects an account with the provider\'s own client, and tells the window that frames it', async (t) => {
    const { origin, page, context, told } = await app(t);
    const before = (await all(sdk().connections.list())).length;
    const { authorization_code: granted = 0 } = (await peer.stats()).granted;
    await frame(page, await link({ embed_origin: origin }));
    await until(async () => (await told('content-loaded')).length && (await told('resize')).length, 'the page is there');
    assert.deepEqual((await all(sdk().connections.list())).length, before, 'nothing is connected yet');
    const opened = context.waitForEvent('page');
    await page.frameLocator('iframe').getByRole('button').click();
    const popup = await opened;
    await popup.getByText('is connected', { exact: false }).first().waitFor();
    await until(async () => (await told('connection-created')).length, 'the window is told');
    const [{ payload, origin: from }] = await told('connection-created');
    assert.equal(from, server.url);
    assert.equal((await told('resize'))[0].payload.width > 0, true);
    const made = await sdk().connections.retrieve(payload.id);
    assert.deepEqual(payload, made);
    assert.deepEqual(
      [made.object, made.teamspace_id, made.connector_id, made.valid],
      ['connection', 'team_1', CONNECTOR, true],
    );
    assert.equal((await peer.stats()).granted.authorization_code, granted + 1);

    // It is one of the native API's, whose token the provider honours.
    const native = await server.call('GET', `/api/v1/connections/${made.id}`, { key: KEYS.admin });
    assert.equal(native.body.subject.type, 'connection');
    // The same page renews it. A browser does not paint the window behind another one, where a press is lost at times.
    await popup.close();
    await frame(page, await link({ embed_origin: origin, connection_id: made.id }));
    const again = context.waitForEvent('page');
    await page.frameLocator('iframe').getByRole('button').click();
    await again;
    await until(async () => (await told('connection-updated')).length, 'the window is told of the renewal');
    assert.equal((await told('connection-updated'))[0].payload.id, made.id);

    const renamed = await sdk().connections.update(made.id, { name: 'Renamed' });
    assert.equal(renamed.name, 'Renamed');
    const knowledge = await sdk().knowledge.connect({ connection_id: made.id });
    assert.match(knowledge.redirect_url, /\/authorize\/sca_/);
    const listed = await all(sdk().connections.list({ connector_id: CONNECTOR, limit: 1 }));
    assert.ok(listed.some(({ id }) => id === made.id));
    assert.equal(await sdk().connections.delete(made.id), null);
    await assert.rejects(sdk().connections.retrieve(made.id), missing);
  });

  it('is not shown in, and says nothing to, the windows of others', async (t) => {
    const { page, told, context } = await app(t);
    const url = await link({ embed_origin: 'https://app.example' });
    const refused = [];
    page.on('console', (message) => refused.push(message.text()));
    await frame(page, url);
    await until(() => refused.some((text) => /frame-ancestors/.test(text)), 'the frame is refused');
    // Opened by them, it works, and they hear nothing.
    const opened = context.waitForEvent('page');
    await page.evaluate((url) => void window.open(url), url);
    const popup = await opened;
    await popup.getByRole('button').click();
    await popup.getByText('is connected', { exact: false }).first().waitFor();
    assert.deepEqual(await page.evaluate(() => told), []);
    for (const kind of ['connection-created', 'content-loaded']) assert.deepEqual(await told(kind), []);
  });

  it('tells the window that opened it, also of a no', async (t) => {
    const { origin, page, context, told } = await app(t);
    for (const [press, type] of [
      [(popup) => popup.getByRole('button').click(), 'connection-created'],
      [
        async (popup) => {
          await popup.getByRole('link', { name: 'Cancel' }).click();
          await popup.getByRole('button').click();
        },
        'error',
      ],
    ]) {
      const url = await link({ embed_origin: origin });
      const opened = context.waitForEvent('page');
      await page.evaluate((url) => void window.open(url), url);
      await press(await opened);
      await until(async () => (await told(type)).length, `${type} is told`);
    }
    const [{ payload }] = await told('error');
    assert.equal(typeof payload.message, 'string');
    assert.equal(payload.error, null);
  });

  it('works without a script, and fails where the client is wrong', async () => {
    const visitor = new Visitor();
    const { page } = await visitor.open(await link());
    const { page: end } = await visitor.press(page);
    assert.match(end.text, /is connected/);
    assert.match(end.headers.get('content-security-policy'), /frame-ancestors 'none'/);
    const bad = await provider({ client_secret: 'not the secret' });
    const { page: asks } = await visitor.open(await link({ connection_provider_id: bad.id }));
    const { page: failed } = await visitor.press(asks);
    assert.match(failed.text, /Nothing was connected/);
  });
});

it('PyPI datagrid-ai calls every method, sync and async, and validates every answer', async () => {
  const python = path.join(here, '.cache/venv/bin/python');
  const theirs = await provider();
  const connect = async () => {
    const { redirect_url: url } = await sdk().connections.create({ connector_id: CONNECTOR, connection_provider_id: theirs.id });
    const visitor = new Visitor();
    const { page } = await visitor.open(url);
    await visitor.press(page);
    return (await sdk().connections.list({ limit: 1 })).data[0].id;
  };
  // One that stays, and one for each client to end.
  const connections = [await connect(), await connect(), await connect()];
  const script = path.join(here, 'lib/datagrid_sdk.py');
  const said = await run(python, [script, `${server.url}/datagrid/v1`, ACCOUNT_KEY, CONNECTOR, ...connections]);
  assert.match(said, /sync: \d\d calls\nasync: \d\d calls\n$/);
});
