// Model Context Protocol servers of the SDK's own making, connected to from nothing but their URL.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { once } from 'node:events';
import http from 'node:http';
import { Grantry } from './lib/grantry.mjs';
import { mcpServer as anyMcpServer, whoami } from './lib/mcp.mjs';
import { Peer } from './lib/peers.mjs';
import { connect, needsConsent, served, user } from './lib/provider-suite.mjs';
import { KEYS, PROJECT, world } from './lib/world.mjs';

const AT_TTL = '3';

/** An MCP server whose access tokens end soon. */
const mcpServer = (env) => anyMcpServer({ AT_TTL, ...env });

/** A web server that answers everything with a page. */
async function webPage() {
  const server = http.createServer((_req, res) => res.setHeader('content-type', 'text/html').end('<h1>Hello</h1>'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/mcp`, stop: () => server.close() };
}

const refused = (url, token) => assert.rejects(whoami(url, token), /invalid_token|another resource|no such token|Unauthorized/i);

describe('an MCP server that is known by its URL alone', () => {
  let server, peer, strict, plain, hidden, page;
  /** Makes a connector from `url` and links it to the project. */
  const connectorOf = async (url, more = {}) => {
    const body = { type: 'oauth', name: 'mcp', service: url, projectId: PROJECT, data: {}, ...more };
    const made = await server.call('POST', '/v1/connect/connectors', { key: KEYS.admin, body });
    assert.equal(made.status, 201, made.text);
    return made.body;
  };
  const ended = async (token, { expiresAt }) => {
    while (Date.now() <= expiresAt) await new Promise((wake) => setTimeout(wake, 100));
    return token;
  };
  before(async () => {
    server = await Grantry.start(world());
    peer = await Peer.start('oidc-provider', { callbacks: [server.callback], env: { AT_TTL } });
    page = await webPage();
    [strict, plain, hidden] = await Promise.all([mcpServer({ ISSUER: peer.url }), mcpServer({}), mcpServer({ HIDE: '1' })]);
  });
  after(() => Promise.all([server, peer, strict, plain, hidden, page].map((one) => one?.stop())));

  for (const [name, which] of [
    ['oidc-provider', () => strict],
    ["the SDK's own authorization server", () => plain],
    ['a server that only its challenge tells of', () => hidden],
  ])
    it(`is registered with, consented to, called and refreshed, behind ${name}`, async () => {
      const { url } = which();
      const connector = await connectorOf(url);
      assert.equal(connector.service, '127.0.0.1');
      assert.ok(connector.data.clientId, 'the connector shows the client that was registered for it');
      assert.ok(!JSON.stringify(connector).match(/secret"|registration_access_token/i));
      const who = user('mcp');
      await needsConsent(server, connector.id, who);
      const first = await connect(server, connector.id, who);
      assert.equal(await whoami(url, first.token), connector.data.clientId);

      await ended(first.token, first);
      const second = await served(server, connector.id, who);
      assert.notEqual(second.token, first.token);
      assert.equal(await whoami(url, second.token), connector.data.clientId);
    });

  it('takes no token of another server, nor does that take its', async () => {
    const [one, two] = [await connectorOf(strict.url), await connectorOf(plain.url)];
    const who = user('crossing');
    const [first, second] = [await connect(server, one.id, who), await connect(server, two.id, who)];
    assert.equal(await whoami(strict.url, first.token), one.data.clientId);
    assert.equal(await whoami(plain.url, second.token), two.data.clientId);
    await refused(plain.url, first.token);
    await refused(strict.url, second.token);
  });

  it('shares an authorization server with another one and no token', async () => {
    const sibling = await mcpServer({ ISSUER: peer.url });
    try {
      const [one, two] = [await connectorOf(strict.url), await connectorOf(sibling.url)];
      const who = user('sibling');
      const [first, second] = [await connect(server, one.id, who), await connect(server, two.id, who)];
      assert.equal(await whoami(sibling.url, second.token), two.data.clientId);
      await refused(sibling.url, first.token);
      await refused(strict.url, second.token);
      const other = await server.token(one.id, { ...who, resources: [sibling.url] });
      assert.equal(other.status, 400, other.text);
      assert.match(other.text, /resources/);
    } finally {
      await sibling.stop();
    }
  });

  it('is named in every token request, also in a refresh', async () => {
    const connector = await connectorOf(plain.url);
    const stats = () => fetch(new URL('/_stats', plain.issuer)).then((answer) => answer.json());
    const { resources: before } = await stats();
    const first = await connect(server, connector.id, user('named'));
    await ended(first.token, first);
    await served(server, connector.id, user('named'));
    const { resources } = await stats();
    assert.deepEqual(resources.slice(before.length), [plain.url, plain.url]);
  });

  it('loses its client when the connector is deleted', async () => {
    const connector = await connectorOf(strict.url);
    const client = () => fetch(`${peer.url}/_client/${connector.data.clientId}`).then((answer) => answer.json());
    assert.equal((await client()).client_id, connector.data.clientId);
    const deleted = await server.call('DELETE', `/v1/connect/connectors/${connector.id}`, { key: KEYS.admin });
    assert.equal(deleted.status, 204, deleted.text);
    for (let tries = 0; tries < 100 && (await client()); tries++) await new Promise((wake) => setTimeout(wake, 100));
    assert.equal(await client(), null);
  });

  it('hears of a change by the registration that there is', async () => {
    const connector = await connectorOf(strict.url);
    const route = `/api/v1/connectors/${connector.id}`;
    const patch = async (data) => {
      const answer = await server.call('PATCH', route, { key: KEYS.admin, body: { data } });
      assert.equal(answer.status, 200, answer.text);
      return answer.body;
    };
    // Twice: the access token of the registration rotates.
    for (const name of ['First', 'Second']) {
      const changed = await patch({ clientName: name });
      assert.equal(changed.data.clientId, connector.data.clientId);
      const client = await (await fetch(`${peer.url}/_client/${connector.data.clientId}`)).json();
      assert.equal(client.client_name, name);
    }
    const who = user('renamed');
    const { token } = await connect(server, connector.id, who);
    assert.equal(await whoami(strict.url, token), connector.data.clientId);
    await patch({ clientName: 'Third' });
    assert.equal(await whoami(strict.url, (await served(server, connector.id, who)).token), connector.data.clientId);
  });

  it('is declared in a file, and registered with when somebody connects', async () => {
    const row = {
      id: 'scl_declared',
      uid: 'mcp/declared',
      team: 'team_1',
      name: 'Declared',
      type: 'oauth',
      data: { serverUrl: strict.url },
      links: [{ project: PROJECT, environments: ['production'] }],
    };
    await server.apply(world({ connectors: [row] }));
    const who = user('declared');
    await needsConsent(server, 'scl_declared', who);
    const { registered } = await peer.stats();
    const { token } = await connect(server, 'scl_declared', who);
    const { data } = (await server.call('GET', '/v1/connect/connectors/scl_declared', { key: KEYS.admin })).body;
    assert.equal(await whoami(strict.url, token), data.clientId);
    assert.equal((await peer.stats()).registered, registered + 1);
    // Declared again, it is the same client.
    await server.apply(world({ connectors: [row] }));
    assert.equal((await served(server, 'scl_declared', who)).token, token);
    assert.equal((await peer.stats()).registered, registered + 1);
  });

  for (const [what, data, field] of [
    ['a page', () => ({ serverUrl: page.url }), /data\.serverUrl/],
    ['nothing', () => ({ serverUrl: 'http://127.0.0.1:1/mcp' }), /data\.serverUrl/],
    ['no URL', () => ({ serverUrl: 'mcp.example' }), /data\.serverUrl/],
    ['another resource than asked', () => ({ serverUrl: `${strict.url}/` }), /data\.serverUrl/],
    ['no registration', () => ({ serverUrl: strict.url, serverConfig: { registration_endpoint: '' } }), /data\.clientId/],
  ])
    it(`is refused when the URL leads to ${what}, and nothing is stored or registered`, async () => {
      const count = async () => {
        const list = await server.call('GET', '/api/v1/connectors?limit=100', { key: KEYS.admin });
        return [list.body.data.length, (await peer.stats()).registered];
      };
      const before = await count();
      const body = { type: 'oauth', name: 'bad', data: data() };
      const made = await server.call('POST', '/v1/connect/connectors', { key: KEYS.admin, body });
      assert.equal(made.status, 400, made.text);
      assert.match(made.text, field);
      assert.deepEqual(await count(), before);
    });

  it('leaves no client behind when its uid is taken', async () => {
    await connectorOf(strict.url, { uid: 'mcp/taken' });
    const { registered } = await peer.stats();
    const body = { type: 'oauth', name: 'again', uid: 'mcp/taken', service: strict.url, data: {} };
    const again = await server.call('POST', '/v1/connect/connectors', { key: KEYS.admin, body });
    assert.equal(again.status, 409, again.text);
    assert.equal((await peer.stats()).registered, registered);
  });
});
