// Sequin's dialect: the vendor's own curl lines, and the link flow against real providers.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { CLIENTS, Peer } from './lib/peers.mjs';
import { run, until } from './lib/process.mjs';
import { DEMO, Sandbox } from './lib/sandbox.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, world } from './lib/world.mjs';

const HOST = 'https://api.sequin.io';
const MASK = '**********';
const APPS = '/sequin/v1/oauth-apps';
const CREDENTIALS = '/sequin/v1/credentials';

/** The documented line under `heading`, for `id`. */
function documented(heading, id = '') {
  const text = readFileSync(path.join(import.meta.dirname, 'documented/sequin.md'), 'utf8');
  const [, line] = text.match(new RegExp(`^## ${heading}\\n\\n\`\`\`shell\\n(.*?)\\n\`\`\``, 'ms'));
  return line.replace('{id}', id);
}

/** Runs it with another host and token; the answer's status and JSON. `more` are further arguments of curl's. */
async function curl(line, base, { key = KEYS.admin, more = '' } = {}) {
  assert.ok(line.includes(HOST), line);
  const ours = line.replace(HOST, base).replace('YOUR_API_TOKEN', key);
  const printed = await run('bash', ['-c', `${ours} ${more} --silent --show-error --write-out '\\n%{http_code}'`]);
  const [, body, status] = printed.match(/^(.*)\n(\d+)\s*$/s);
  return { status: Number(status), body: body && JSON.parse(body) };
}

describe("the documentation's curl lines", () => {
  let server;
  before(async () => {
    const config = '[hosts]\n"api.sequin.io" = "sequin"\n"api.vercel.com" = "vercel"\n';
    server = await Grantry.start(world(), { config });
  });
  after(() => server?.stop());

  it('make, list, read and change an app', async () => {
    const base = `${server.url}/sequin`;
    const made = await curl(documented('create'), base);
    assert.equal(made.status, 200);
    const { id, created_at, updated_at, health, ...rest } = made.body;
    assert.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.deepEqual(rest, {
      provider: 'stripe',
      name: 'Arakkis - Stripe',
      client_id: 'db97a4eb-f488-46c8-b1a7-78be3d8380d1',
      client_secret: MASK,
      metadata: { custom_property: 42 },
    });
    assert.equal(health.status, 'ok');
    for (const time of [created_at, updated_at, health.time]) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

    const listed = await curl(documented('list'), base);
    assert.deepEqual(listed.body.data.filter((app) => app.id === id), [made.body]);
    assert.deepEqual((await curl(documented('get', id), base)).body, made.body);
    assert.deepEqual((await curl(documented('update', id), base)).body, made.body, 'nothing was another');
    const filtered = `${documented('list')} -G --data-urlencode 'metadata={"custom_property":42}' --data-urlencode provider=stripe`;
    assert.deepEqual((await curl(filtered, base)).body.data.map((app) => app.id), [id]);
  });

  it('are refused in the shape of the documentation', async () => {
    const base = `${server.url}/sequin`;
    const nobody = await curl(documented('list'), base, { key: 'nobody' });
    assert.equal(nobody.status, 401);
    assert.deepEqual(Object.keys(nobody.body), ['summary']);
    const nameless = await curl(documented('create').replace('"name": "Arakkis - Stripe",', ''), base);
    assert.equal(nameless.status, 422);
    assert.deepEqual(nameless.body.validation_errors, { name: ['is required'] });
    const broken = await curl(documented('create').replace('42 }', '42'), base);
    assert.deepEqual([broken.status, Object.keys(broken.body)], [400, ['summary']]);
    const unknown = await curl(documented('get', 'nope'), base);
    assert.deepEqual([unknown.status, unknown.body], [404, { summary: 'connector not found' }]);
  });

  it('reach the dialect by the host alone', async () => {
    const port = server.address.split(':')[1];
    const there = { more: `--resolve api.sequin.io:${port}:127.0.0.1` };
    const listed = await curl(documented('list'), `http://api.sequin.io:${port}`, there);
    assert.equal(listed.status, 200);
    assert.ok(Array.isArray(listed.body.data));
    const vercel = { more: `--resolve api.vercel.com:${port}:127.0.0.1` };
    const line = documented('list').replace('/v1/oauth-apps', '/v1/connect/connectors');
    const connectors = await curl(line, `http://api.vercel.com:${port}`, vercel);
    assert.ok(Array.isArray(connectors.body.clients), JSON.stringify(connectors.body));
    const elsewhere = { more: `--resolve api.other.io:${port}:127.0.0.1` };
    const unmapped = await curl(documented('list'), `http://api.other.io:${port}`, elsewhere);
    assert.equal(unmapped.status, 404);
    assert.ok(unmapped.body.error, "a host without a line is served as ever: in Vercel's words");
  });
});

/** Linear, with the endpoints of `peer`. */
const linear = (peer) => ({
  services: [
    {
      id: 'linear',
      name: 'Linear',
      kind: 'oauth2',
      issuer: peer.url,
      authorization_endpoint: peer.url + peer.kind.endpoints.authorization,
      token_endpoint: peer.url + peer.kind.endpoints.token,
      revocation_endpoint: peer.url + peer.kind.endpoints.revocation,
      jwks_uri: `${peer.url}/jwks`,
      token_endpoint_auth_method: 'client_secret_basic',
      scope_separator: 'space',
      common_scopes: peer.kind.scopes,
    },
  ],
});

const ok = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
};

/** Why a request was refused, field by field. */
const wrong = (answer) => {
  assert.equal(answer.status, 422, answer.text);
  return answer.body.validation_errors;
};

/** The calls of the link flow, for an app of `client` at `server`. */
class Flow {
  static async of(server, client) {
    const body = { provider: 'linear', client_id: client.id, client_secret: client.secret, name: 'Linked' };
    const app = ok(await server.call('POST', APPS, { key: KEYS.admin, body }));
    const route = `/api/v1/connectors/${app.id}/projects/${PROJECT}`;
    ok(await server.call('PUT', route, { key: KEYS.admin, body: { environments: ['production'] } }));
    return Object.assign(new Flow(), { server, client, app });
  }

  async start(state) {
    const body = { oauth_app_id: this.app.id, credential_kind: 'linear_oauth2', redirect_url: RETURN_URL, state };
    return ok(await this.server.call('POST', `${CREDENTIALS}/start-auth`, { key: KEYS.admin, body })).start_url;
  }

  /** Starts, visits, and gives what the redirect URL received. */
  async visit(state) {
    const { arrived, page } = await new Visitor().open(await this.start(state), { stopAt: RETURN_URL });
    assert.ok(arrived, page?.text);
    return arrived.searchParams;
  }

  exchange(code, secret = this.client.secret) {
    const body = { code, client_id: this.app.id, client_secret: secret };
    return this.server.call('POST', '/sequin/link/oauth2/token', { body });
  }

  create(body) {
    return this.server.call('POST', CREDENTIALS, { key: KEYS.admin, body });
  }

  /** From the start to the credential. */
  async link(more = {}) {
    const { credential } = ok(await this.exchange((await this.visit()).get('code')));
    return ok(await this.create({ ...credential, ...more }));
  }

  async token({ id }) {
    const body = { connector: this.app.id, subject: { type: 'connection', id } };
    return this.server.call('POST', '/api/v1/tokens', { key: KEYS.workload, body });
  }
}

/** Every file below `folder` that holds `text`. */
const holding = (folder, text) =>
  readdirSync(folder, { recursive: true })
    .map((name) => path.join(folder, name))
    .filter((file) => statSync(file).isFile() && readFileSync(file).includes(text));

function links(name, start, client) {
  describe(`the link flow at ${name}`, () => {
    let server, peer, flow;
    before(async () => {
      server = await Grantry.start();
      peer = await start(server);
      await server.apply(world(linear(peer)));
      flow = await Flow.of(server, client);
    });
    after(async () => {
      await server?.stop();
      await peer?.stop();
    });

    it('ends in a credential whose token is kept fresh, and every step works once', async () => {
      const state = { user: 7, 'and so': ['on', null] };
      const visitor = new Visitor();
      const url = await flow.start(state);
      assert.equal((await fetch(url, { method: 'HEAD', redirect: 'manual' })).status, 200, 'looking is free');
      const { arrived } = await visitor.open(url, { stopAt: RETURN_URL });
      assert.deepEqual([...arrived.searchParams.keys()], ['code']);
      assert.equal((await new Visitor().open(url)).page.status, 410);

      const code = arrived.searchParams.get('code');
      for (const answer of [
        await flow.exchange(code, 'not the secret'),
        await flow.exchange('nope'),
        await server.call('POST', '/sequin/link/oauth2/token', {
          body: { code, client_id: 'another', client_secret: client.secret },
        }),
      ])
        assert.ok(wrong(answer).code);
      const exchanged = ok(await flow.exchange(code));
      assert.deepEqual(exchanged.state, state);
      const { credential } = exchanged;
      assert.equal(credential.oauth_app_id, flow.app.id);
      assert.equal(credential.properties.kind, 'linear_oauth2');
      assert.match(credential.properties.access_token, /^sqh_\w{43}$/);
      const handle = credential.properties.access_token;
      assert.ok(wrong(await flow.exchange(code)).code);
      assert.ok(wrong(await flow.exchange(handle)).code, 'a handle is no code');

      const other = { ...credential, properties: { kind: 'stripe_key', secret: handle } };
      assert.ok(wrong(await flow.create(other))['properties.kind']);
      const made = ok(await flow.create({ ...credential, name: 'Arrakis', metadata: { tenant: 1 } }));
      assert.deepEqual([made.name, made.metadata, made.health.status], ['Arrakis', { tenant: 1 }, 'ok']);
      assert.equal(made.properties.access_token, MASK);
      assert.ok(wrong(await flow.create(credential)).properties, 'a handle makes one credential');

      const first = ok(await flow.token(made));
      assert.equal(await peer.honours(first.token, client), true);
      const over = async () => Date.now() > Date.parse(first.expires_at) && !(await peer.honours(first.token, client));
      await until(over, 'the access token expires for both', 3 * AT_TTL);
      const second = ok(await flow.token(made));
      assert.notEqual(second.token, first.token);
      assert.equal(await peer.honours(second.token, client), true);
      const [app] = ok(await server.call('GET', `${APPS}?health.status=ok`, { key: KEYS.admin })).data;
      assert.deepEqual([app.id, app.health.notes], [flow.app.id, []]);

      for (const secret of [client.secret, handle, second.token, code])
        assert.deepEqual(holding(server.dataDir, secret), []);
      await server.kill();
      await server.serve();
      assert.equal(ok(await server.call('GET', `${CREDENTIALS}/${made.id}`, { key: KEYS.admin })).name, 'Arrakis');
      assert.equal(await peer.honours(ok(await flow.token(made)).token, client), true);
    });

    it('brings the same account to the same credential', async () => {
      const [one, two] = [await flow.link({ metadata: { kept: true } }), await flow.link()];
      assert.equal(one.id, two.id);
      assert.deepEqual(two.metadata, { kept: true });
      assert.equal(await peer.honours(ok(await flow.token(two)).token, client), true);
    });

    it('ends at the provider when its connection is revoked', async () => {
      const made = await flow.link();
      const { token } = ok(await flow.token(made));
      const route = `/api/v1/connections/${made.id}`;
      assert.equal((await server.call('DELETE', route, { key: KEYS.admin })).status, 200);
      assert.equal(await peer.honours(token, client), false);
      assert.equal((await server.call('GET', `${CREDENTIALS}/${made.id}`, { key: KEYS.admin })).status, 404);
      assert.equal((await flow.link()).id, made.id, 'linked again it is the same one');
    });
  });
}

/** Long enough to be met alive on a slow machine, short enough to wait for its end. */
const AT_TTL = 8;
links('the sandbox', () => Sandbox.start({ accessTtl: AT_TTL }), DEMO);
links(
  'oidc-provider',
  (server) => Peer.start('oidc-provider', { callbacks: [server.callback], env: { AT_TTL: `${AT_TTL}` } }),
  CLIENTS.conf,
);

describe('a link flow', () => {
  it('leaves nothing alive that nobody makes a credential of', async () => {
    const server = await Grantry.start(undefined, { config: '[limits]\nlink_time_max = "3s"\n' });
    const sandbox = await Sandbox.start({ accessTtl: 3600 });
    // Nobody is shown these tokens; what the provider does with them is in its log.
    const done = async (wanted) => {
      const log = await (await fetch(`${sandbox.url}/_log`)).json();
      return log.filter(({ endpoint, outcome }) => endpoint === wanted && outcome === 'done').length;
    };
    try {
      await server.apply(world(linear(sandbox)));
      const flow = await Flow.of(server, DEMO);
      const code = (await flow.visit()).get('code');
      assert.deepEqual([await done('token'), await done('revoke')], [1, 0], 'there are tokens, and they are alive');
      await until(async () => (await done('revoke')) > 0, 'the provider has ended them', 60);
      assert.ok(wrong(await flow.exchange(code)).code);
      assert.deepEqual(ok(await server.call('GET', CREDENTIALS, { key: KEYS.admin })).data, []);
    } finally {
      await server.stop();
      await sandbox.stop();
    }
  });

  it('tells the redirect URL that the user said no', async () => {
    const server = await Grantry.start();
    const peer = await Peer.start('oidc-provider', { callbacks: [server.callback], env: { DENY: '1' } });
    try {
      await server.apply(world(linear(peer)));
      const flow = await Flow.of(server, CLIENTS.conf);
      assert.equal(`${await flow.visit()}`, 'error=access_denied');
    } finally {
      await server.stop();
      await peer.stop();
    }
  });

  it('shows tokens where the deployment says so, and not the mask', async () => {
    const server = await Grantry.start(undefined, { config: '[sequin]\nreveal_secrets = true\n' });
    const peer = await Peer.start('oidc-provider', { callbacks: [server.callback] });
    try {
      await server.apply(world(linear(peer)));
      const flow = await Flow.of(server, CLIENTS.conf);
      const code = (await flow.visit()).get('code');
      const { credential } = ok(await flow.exchange(code));
      assert.equal(await peer.honours(credential.properties.access_token), true);
      assert.ok(wrong(await flow.exchange(code)).code);
      const made = ok(await flow.create(credential));
      assert.equal(made.properties.access_token, MASK);
      assert.equal(ok(await flow.create(credential)).id, made.id, 'an import repeated');
      assert.equal(await peer.honours(ok(await flow.token(made)).token), true);

      const app = `${APPS}/${flow.app.id}?truncate_secrets=false`;
      assert.equal(ok(await server.call('GET', app, { key: KEYS.admin })).client_secret, CLIENTS.conf.secret);
      assert.equal(ok(await server.call('GET', app, { key: KEYS.member })).client_secret, MASK);
      const events = ok(await server.call('GET', '/api/v1/events?limit=100', { key: KEYS.admin })).data;
      const shown = events.map(({ kind }) => kind).filter((kind) => kind.endsWith('.revealed'));
      assert.deepEqual(shown.sort(), ['connection.revealed', 'connector.revealed']);
    } finally {
      await server.stop();
      await peer.stop();
    }
  });
});
