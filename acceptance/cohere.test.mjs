// Cohere's own clients, unmodified, from 4.57 to the newest, against a connector that answers as theirs do.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { install, Python, Refused, Script } from './lib/cohere.mjs';
import { Grantry } from './lib/grantry.mjs';
import { Child } from './lib/process.mjs';
import { KEYS, TEAM, world } from './lib/world.mjs';

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

let server, stub;
before(async () => {
  stub = await Stub.start();
  server = await Grantry.start(world());
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
const CLIENTS = {
  'PyPI cohere 7.3.1': python('7.3.1', 'Client'),
  'PyPI cohere 7.3.1, asynchronous': python('7.3.1', 'AsyncClient'),
  'PyPI cohere 7.3.1, V2, with a base that names the version': python('7.3.1', 'ClientV2', TYPED, '/v1'),
  'PyPI cohere 5.21.1': python('5.21.1', 'Client'),
  'PyPI cohere 5.0.2, whose base has to name the version': python(
    '5.0.2', 'Client', { ...TYPED, 401: 'ApiError', 403: 'ApiError' }, '/v1'),
  'PyPI cohere 4.57': python('4.57', 'Client', Object.fromEntries([400, 401, 403, 404].map((n) => [n, 'CohereAPIError']))),
  'npm cohere-ai 8.1.0': script('8.1.0', environment),
  'npm cohere-ai 8.1.0 with baseUrl': script('8.1.0', (baseUrl) => ({ baseUrl })),
  'npm cohere-ai 8.1.0 V2 with a base that names the version': script(
    '8.1.0', (base) => environment(`${base}/v1`), TYPED, 'CohereClientV2'),
  'npm cohere-ai 7.21.0': script('7.21.0', environment),
  'npm cohere-ai 7.7.0': script('7.7.0', environment, { ...TYPED, 401: 'CohereError', 403: 'CohereError' }),
};

for (const [name, { skip, start, names }] of Object.entries(CLIENTS)) {
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
      keyed = await one('create', {
        name: 'Example Connector',
        url: `${stub.url}/search`,
        description: 'Birds of the world',
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
        description: 'Birds of the world',
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
      assert.deepEqual(oauth, { ...urls, client_id: 'conf', scope: 'read' });
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
      const { valid, organization_id, owner_id } = await ask('check');
      assert.deepEqual({ valid, organization_id, owner_id }, { valid: true, organization_id: TEAM, owner_id: 'usr_alice' });
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
