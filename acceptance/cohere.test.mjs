// Cohere's own clients, unmodified, from 4.57 to the newest, against a connector that answers as theirs do.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { install, Python, Refused, Script } from './lib/cohere.mjs';
import { BIN, Grantry } from './lib/grantry.mjs';
import { CLIENTS, Peer } from './lib/peers.mjs';
import { Child, pause, run } from './lib/process.mjs';
import { Sandbox } from './lib/sandbox.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, RETURN_URL, TEAM, world } from './lib/world.mjs';

const PYTHONS = ['7.3.1', '5.21.1', '5.0.2', '4.57'];
const skipPython = install(PYTHONS);

/** A connector of the kind that `peers/cohere-connector.mjs` plays; `seen` is what it was asked since the last look. */
class Stub {
  static async start() {
    const child = new Child(process.execPath, [path.join(import.meta.dirname, 'peers/cohere-connector.mjs')]);
    const [, url] = await child.until(() => child.output.match(/^ready (\S+)$/m));
    return Object.assign(new Stub(), { child, url });
  }

  async seen() {
    return (await fetch(`${this.url}/_seen`)).json();
  }
}

/** Seconds that an endpoint has to answer. */
const PATIENCE = 4;

let server, stub;
before(async () => {
  stub = await Stub.start();
  server = await Grantry.start(world(), {
    config: `\n[limits]\nsearch_time_max = "${PATIENCE} s"\n[hosts]\n"api.cohere.com" = "cohere"\n`,
  });
});
after(async () => {
  await server?.stop();
  await stub?.child.stop();
});

/** Each client: how to start it at a base URL, and how it names errors. */
const TYPED = { 400: 'BadRequestError', 401: 'UnauthorizedError', 403: 'ForbiddenError', 404: 'NotFoundError' };
const python = (version, kind, names = TYPED, base = '') => ({
  skip: skipPython,
  start: async () => new Python(version, `${server.url}/cohere${base}`, kind),
  names,
});
const script = (version, at, names = TYPED, name) => ({
  start: () => Script.of(version, at(`${server.url}/cohere`), name),
  names,
});
const environment = (environment) => ({ environment });
const SDKS = {
  'PyPI cohere 7.3.1': python('7.3.1', 'Client'),
  'PyPI cohere 7.3.1, asynchronous': python('7.3.1', 'AsyncClient'),
  'PyPI cohere 7.3.1, V2, with a base that names the version': python('7.3.1', 'ClientV2', TYPED, '/v1'),
  'PyPI cohere 5.21.1': python('5.21.1', 'Client'),
  'PyPI cohere 5.0.2, whose base has to name the version': python(
    '5.0.2', 'Client', { ...TYPED, 401: 'ApiError' }, '/v1'),
  'PyPI cohere 4.57': python('4.57', 'Client', Object.fromEntries([400, 401, 403, 404].map((n) => [n, 'CohereAPIError']))),
  'npm cohere-ai 8.1.0': script('8.1.0', environment),
  'npm cohere-ai 8.1.0 with baseUrl': script('8.1.0', (baseUrl) => ({ baseUrl })),
  'npm cohere-ai 8.1.0 V2 with a base that names the version': script(
    '8.1.0', (base) => environment(`${base}/v1`), TYPED, 'CohereClientV2'),
  'npm cohere-ai 7.21.0': script('7.21.0', environment),
  'npm cohere-ai 7.7.0': script('7.7.0', environment, { ...TYPED, 401: 'CohereError' }),
};

for (const [name, { skip, start, names }] of Object.entries(SDKS)) {
  describe(name, { skip }, () => {
    const old = name.includes('4.57');
    let client, keyed;
    const ask = (what, fields, key = KEYS.admin) => client.ask(key, what, fields);
    /** 4.x hands connectors out bare. */
    const one = async (what, fields) => {
      const answer = await ask(what, fields);
      return answer.connector ?? answer;
    };
    const listed = async (fields) => {
      const answer = await ask('list', fields);
      return answer.connectors ?? answer;
    };
    const refused = (asking, status, message) =>
      assert.rejects(asking, (error) => {
        assert.ok(error instanceof Refused, error);
        assert.deepEqual([error.status, error.type], [status, names[status]], error.message);
        const { message: said } = error.body;
        if (message instanceof RegExp) assert.match(said, message);
        else assert.equal(said, message);
        return true;
      });
    before(async () => void (client = await start()));
    after(() => client?.stop());

    it('makes a connector with a key, once its URL has answered', async () => {
      await stub.seen();
      // 4.x knows no descriptions.
      const described = old ? {} : { description: 'Birds of the world' };
      keyed = await one('create', {
        name: 'Example Connector',
        url: `${stub.url}/search`,
        ...described,
        excludes: ['id'],
        continue_on_failure: true,
        service_auth: { type: 'bearer', token: 'sekret' },
      });
      assert.match(keyed.id, /^example-connector-[0-9a-z]{6}$/);
      const { id, created_at, updated_at, ...rest } = keyed;
      assert.equal(new Date(created_at).getTime(), new Date(updated_at).getTime());
      assert.ok(Math.abs(Date.now() - new Date(created_at)) < 120_000, created_at);
      const expected = {
        name: 'Example Connector',
        organization_id: TEAM,
        url: `${stub.url}/search`,
        ...described,
        excludes: ['id'],
        auth_type: 'service_auth',
        active: true,
        continue_on_failure: true,
      };
      assert.deepEqual(rest, expected);
      const asked = (await stub.seen()).map(({ authorization, type, body }) => ({ authorization, type, ...JSON.parse(body) }));
      assert.deepEqual(asked, [{ authorization: 'Bearer sekret', type: 'application/json', query: 'test' }]);
      assert.deepEqual(await one('get', { id }), keyed);
    });

    it('finds it first in the list, and counts', async () => {
      const all = await listed({ limit: 100 });
      assert.deepEqual(all[0], keyed);
      assert.deepEqual(await listed({ limit: 1, offset: 1 }), all.slice(1, 2));
      if (!old) assert.equal((await ask('list', { limit: 1 })).total_count, all.length);
    });

    it('changes what it names and nothing else', async () => {
      const { updated_at, ...changed } = await one('update', { id: keyed.id, active: false, name: 'Birds' });
      const { updated_at: _, ...before } = keyed;
      assert.deepEqual(changed, { ...before, active: false, name: 'Birds' });
      assert.deepEqual(await one('update', { id: keyed.id }), { ...changed, updated_at });
    });

    it('fills an OAuth client in step by step, and makes a link for its user', async () => {
      const urls = { authorize_url: 'https://p.example/authorize', token_url: 'https://p.example/token' };
      const made = await one('create', { name: 'OAuth', url: `${stub.url}/oauth/search`, oauth: urls });
      assert.equal(made.auth_type, 'oauth');
      assert.deepEqual(made.oauth, urls);
      await refused(ask('authorize', { id: made.id }), 400, 'invalid request: oauth.client_id: is required');
      const client = { client_id: 'conf', client_secret: 'conf-secret', scope: 'read' };
      const { oauth } = await one('update', { id: made.id, oauth: client });
      assert.deepEqual({ client_id: 'conf', ...oauth }, { ...urls, client_id: 'conf', scope: 'read' });
      const asked = await ask('authorize', { id: made.id, after_token_redirect: 'http://localhost:9999/done' });
      const link = asked.redirect_url ?? asked;
      assert.ok(link.startsWith(`${server.url}/authorize/`), link);
    });

    it('is told what is wrong, and nothing is stored or repeated', async () => {
      const before = await listed({ limit: 100 });
      await stub.seen();
      const name = 'Never';
      const url = `${stub.url}/search`;
      const key = { type: 'bearer', token: 'wrong' };
      await refused(ask('create', { name, url, service_auth: key }), 400,
        `connector not reachable at ${url}. error: request failed with status code 401`);
      assert.equal((await stub.seen()).length, 1, 'asked once: the client did not try again');
      await refused(ask('create', { name, url, service_auth: key, oauth: { client_id: 'c' } }), 400,
        /^invalid request: service_auth: cannot be given together with oauth/);
      await refused(ask('create', { name, url: `${url}?q=1` }), 400, /^invalid request: url: must be an absolute/);
      await refused(ask('list', { limit: 101 }), 400, 'invalid request: limit: must be a whole number from 0 to 100');
      await refused(ask('create', { name, url }, KEYS.member), 403, 'You do not have permission to do this.');
      assert.deepEqual(await stub.seen(), []);
      if (old) await assert.rejects(ask('list', {}, 'tok_nobody'), /invalid api token/);
      else await refused(ask('list', {}, 'tok_nobody'), 401, 'invalid api token');
      assert.deepEqual(await listed({ limit: 100 }), before);
    });

    const asks = /4\.57|cohere-ai (8.1.0( with baseUrl)?|7.21.0)$/.test(name);
    it('knows whose its key is', { skip: !asks && 'this client has no call for it' }, async () => {
      // 4.x reads no more of it than that.
      const whose = old ? {} : { organization_id: TEAM, owner_id: 'usr_alice' };
      assert.deepEqual({ ...(await ask('check')) }, { valid: true, ...whose });
    });

    it('deletes it', async () => {
      const { id } = keyed;
      const answer = await ask('delete', { id });
      assert.deepEqual(answer ?? {}, {});
      const unknown = `connector '${id}' not found.`;
      for (const what of ['get', 'update', 'delete', 'authorize']) await refused(ask(what, { id }), 404, unknown);
    });
  });
}

/** Makes a connector with npm cohere-ai 8.1.0. */
async function made(fields, key = KEYS.admin) {
  const client = await Script.of('8.1.0', environment(`${server.url}/cohere`));
  return (await client.ask(key, 'create', fields)).connector;
}

/** Searches it as Cohere's chat would. */
const search = (id, fields = {}, key = KEYS.admin) =>
  server.call('POST', `/cohere/v1/connectors/${id}/search`, { key, body: { query: 'tallest bird', ...fields } });

describe('a search', () => {
  it('sends the key as its type says, and gives documents with ids of their own', async () => {
    for (const [path, service_auth, header] of [
      ['/search', { type: 'bearer', token: 'sekret' }, 'Bearer sekret'],
      ['/basic/search', { type: 'basic', token: 'sekret' }, 'Basic sekret'],
      ['/noscheme/search', { type: 'noscheme', token: 'sekret' }, 'sekret'],
      ['/open/search', undefined, undefined],
    ]) {
      const { id } = await made({ name: 'Wiki', url: stub.url + path, excludes: ['id', 'url'], service_auth });
      await stub.seen();
      const { status, body } = await search(id);
      assert.equal(status, 200, JSON.stringify(body));
      assert.deepEqual(body.search_results, [{
        search_query: { text: 'tallest bird' },
        connector: { id },
        document_ids: [`${id}_0`, `${id}_1`],
        continue_on_failure: false,
      }]);
      assert.deepEqual(body.documents[1], {
        id: `${id}_1`,
        title: 'Tall bird',
        text: 'The tallest bird is the ostrich.',
        url: 'https://wiki.example/a2',
      });
      assert.deepEqual(Object.keys(body.prompt_documents[1]).sort(), ['id', 'text', 'title']);
      assert.deepEqual(await stub.seen(), [{
        method: 'POST',
        path,
        ...(header && { authorization: header }),
        type: 'application/json',
        body: '{"query":"tallest bird"}',
      }]);
      // The caller's own token takes the place of whatever is stored.
      await search(id, { user_access_token: 'mine', continue_on_failure: true });
      assert.deepEqual((await stub.seen()).map(({ authorization }) => authorization), ['Bearer mine']);
    }
  });

  it('tells of a failure in the words that clients know, or goes on, and is an event either way', async () => {
    const { id } = await made({ name: 'Wiki', url: `${stub.url}/open/search` });
    const patch = (url) => server.call('PATCH', `/cohere/v1/connectors/${id}`, { key: KEYS.admin, body: { url: stub.url + url } });
    for (const [path, message] of [
      ['/broken/search', 'request failed with status code 500'],
      ['/odd/search', 'the answer is not {"results": [documents]}'],
      ['/moved/search', 'request failed with status code 302'],
      ['/search', 'request failed with status code 401'],
    ]) {
      const { status, body } = await patch(path);
      assert.deepEqual([status, body.message], [400, `connector not reachable at ${stub.url}${path}. error: ${message}`]);
    }
    // Declared rows are not asked for, so a connector can be there before its endpoint is.
    const url = `${stub.url}/slow/search`;
    const row = { id: 'slow', uid: 'slow', team: TEAM, name: 'Slow', type: 'custom', data: { search: { url } } };
    await server.apply(world({ connectors: [row] }));
    const since = Date.now();
    const refused = await search('slow');
    assert.ok(Date.now() - since >= PATIENCE * 1000);
    const message = `request timed out after ${PATIENCE} s`;
    assert.deepEqual([refused.status, refused.body.message], [
      400, `connectors failed with continue on failure disabled: connector slow failed with message '${message}'`]);
    const native = await server.call('POST', '/api/v1/connectors/slow/search',
      { key: KEYS.admin, body: { query: 'x', continue_on_failure: true } });
    assert.deepEqual([native.status, native.body.error, native.body.results], [200, message, []]);
    const { body } = await server.call('GET', '/api/v1/events?connector=slow&kind=connector.searched', { key: KEYS.admin });
    assert.deepEqual(body.data.map(({ actor, data }) => [actor.id, data.outcome]), Array(2).fill(['usr_alice', 'search_timeout']));
  });

  it('reaches us from a client that insists on the host it knows', async () => {
    const { id } = await made({ name: 'Wiki', url: `${stub.url}/open/search` });
    const options = { host: '127.0.0.1', port: new URL(server.url).port, path: '/v1/connectors?limit=1' };
    const headers = { host: 'api.cohere.com', authorization: `BEARER ${KEYS.admin}` };
    const [answer] = await once(http.get({ ...options, headers }), 'response');
    let text = '';
    for await (const piece of answer) text += piece;
    assert.equal(answer.statusCode, 200, text);
    assert.equal(JSON.parse(text).connectors[0].id, id);
  });

  it('is a command too', async () => {
    const { id } = await made({ name: 'Wiki', url: `${stub.url}/open/search` });
    const env = { GRANTRY_URL: server.url, GRANTRY_KEY: KEYS.admin };
    assert.match(await run(BIN, ['connectors', 'search', id, 'tallest bird'], { env }), /Tall bird.*ostrich/);
  });

  it('keeps its key sealed, over a restart too', async () => {
    const token = 'a-key-that-is-nowhere';
    const service_auth = { type: 'bearer', token };
    const { id } = await made({ name: 'Wiki', url: `${stub.url}/open/search`, service_auth });
    await server.stop();
    for (const file of readdirSync(server.dataDir, { recursive: true, withFileTypes: true }).filter((file) => file.isFile()))
      assert.ok(!readFileSync(path.join(file.parentPath ?? file.path, file.name)).includes(token), file.name);
    await server.serve();
    await stub.seen();
    assert.equal((await search(id)).status, 200);
    assert.equal((await stub.seen())[0].authorization, `Bearer ${token}`);
  });
});

describe('a user', () => {
  const connector = (peer, endpoints, scope) => ({
    name: 'Mail',
    url: `${stub.url}/oauth/search`,
    oauth: {
      client_id: CLIENTS.conf.id,
      client_secret: CLIENTS.conf.secret,
      authorize_url: peer.url + endpoints[0],
      token_url: peer.url + endpoints[1],
      scope,
    },
  });
  const callback = () => `${server.url}/cohere/v1/connectors/oauth/token`;
  const status = async (client, id, key) => (await client.ask(key, 'get', { id })).connector.auth_status;

  it('connects at oidc-provider, and is the only one whose token is used', async () => {
    const peer = await Peer.start('oidc-provider', { callbacks: [callback()] });
    try {
      const client = await Script.of('8.1.0', environment(`${server.url}/cohere`));
      const { id } = await made(connector(peer, ['/auth?resource_hint=kept', '/token'], 'openid offline_access api:read'));
      const { redirect_url } = await client.ask(KEYS.admin, 'authorize', { id, after_token_redirect: RETURN_URL });
      const visitor = new Visitor();
      const { page } = await visitor.open(redirect_url);
      const pressed = await visitor.press(page, { stopAt: peer.url });
      const asked = pressed.arrived.searchParams;
      const { client_id, redirect_uri, response_type, scope, resource_hint } = Object.fromEntries(asked);
      assert.deepEqual({ client_id, redirect_uri, response_type, scope, resource_hint }, {
        client_id: 'conf',
        redirect_uri: callback(),
        response_type: 'code',
        scope: 'openid offline_access api:read',
        resource_hint: 'kept',
      });
      assert.equal(await status(client, id, KEYS.admin), undefined);
      const { arrived } = await visitor.open(pressed.arrived.href, { stopAt: RETURN_URL });
      assert.equal(arrived.href, RETURN_URL);

      assert.equal(await status(client, id, KEYS.admin), 'valid');
      assert.equal(await status(client, id, KEYS.member), undefined);
      await stub.seen();
      assert.equal((await search(id)).status, 200);
      const [{ authorization }] = await stub.seen();
      assert.equal(await peer.honours(authorization.replace(/^Bearer /, '')), true);
      const refused = await search(id, {}, KEYS.member);
      assert.deepEqual([refused.status, refused.body.message], [400,
        `connectors failed with continue on failure disabled: connector ${id} failed with message ` +
        `'failed to get auth token: user is not authenticated for connector ${id}'`]);
      assert.deepEqual(await stub.seen(), []);
      // With a key of its own it asks for nobody: what was connected has ended.
      await client.ask(KEYS.admin, 'update', { id, service_auth: { type: 'bearer', token: 'key' } });
      assert.equal(await peer.honours(authorization.replace(/^Bearer /, '')), true, 'a provider without a revocation URL is not asked');
      assert.equal(await status(client, id, KEYS.admin), undefined);
      await search(id);
      assert.equal((await stub.seen()).at(-1).authorization, 'Bearer key');
    } finally {
      await peer.stop();
    }
  });

  it('connects at the sandbox by the link of 4.57, and ten searches at once refresh once', { skip: skipPython }, async () => {
    const sandbox = await Sandbox.start({ accessTtl: 3 });
    const client = new Python('4.57', `${server.url}/cohere`);
    try {
      const fields = connector(sandbox, ['/authorize', '/token'], 'offline_access');
      const registration = JSON.stringify({ redirect_uris: [callback()] });
      const headers = { 'content-type': 'application/json' };
      const registered = await fetch(`${sandbox.url}/register`, { method: 'POST', headers, body: registration });
      const { client_id, client_secret } = await registered.json();
      const oauth = { ...fields.oauth, client_id, client_secret };
      const { id } = await client.ask(KEYS.admin, 'create', { ...fields, oauth });
      const link = await client.ask(KEYS.admin, 'authorize', { id, after_token_redirect: RETURN_URL });
      await new Visitor().connect(link, RETURN_URL);
      assert.equal((await client.ask(KEYS.admin, 'get', { id })).auth_status, 'valid');
      await pause(3100);
      await stub.seen();
      const found = await Promise.all(Array.from({ length: 10 }, () => search(id)));
      assert.deepEqual(found.map(({ status }) => status), Array(10).fill(200));
      const tokens = new Set((await stub.seen()).map(({ authorization }) => authorization));
      assert.equal(tokens.size, 1);
      assert.equal((await sandbox.presentations()).length, 1);
      assert.equal((await client.ask(KEYS.admin, 'get', { id })).auth_status, 'valid');
    } finally {
      await client.stop();
      await sandbox.stop();
    }
  });
});
