// A platform engineer's first day: two teams, three projects and five connectors out of one file, three nodes on one
// PostgreSQL behind one public URL, users of both teams, tokens by curl, the command line and @vercel/connect.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { getTokenResponse } from '@vercel/connect';
import '../../clients/connect-redirect.mjs';
import { BIN, Grantry } from '../lib/grantry.mjs';
import { Peer } from '../lib/peers.mjs';
import { Child, run, temporaryFolder } from '../lib/process.mjs';
import { Visitor } from '../lib/visitor.mjs';

const RETURN_URL = 'http://localhost:9999/done';
const SECRETS = {
  WEB_KEY: 'key-of-acme-web-0123456789abcdef',
  JOBS_KEY: 'key-of-acme-jobs-0123456789abcdef',
  SHOP_KEY: 'key-of-globex-shop-0123456789abcdef',
  ACME_ADMIN_KEY: 'key-of-acme-admin-0123456789abcdef',
  IDP_SECRET: 'conf-secret',
  WEATHER_KEY: 'w-0123456789',
};

/** What the engineer writes. `idp` is where the identity provider is. */
const file = (idp) => `
[[accounts]]
id = "acc_1"
name = "Holding"

[[teams]]
id = "team_acme"
account = "acc_1"
slug = "acme"
name = "Acme"
return_origins = ["http://localhost:9999"]

[[teams]]
id = "team_globex"
account = "acc_1"
slug = "globex"
name = "Globex"
return_origins = ["http://localhost:9999"]

[[projects]]
id = "prj_web"
team = "team_acme"
name = "web"

[[projects]]
id = "prj_jobs"
team = "team_acme"
name = "jobs"

[[projects]]
id = "prj_shop"
team = "team_globex"
name = "shop"

[[keys]]
team = "team_acme"
project = "prj_web"
environment = "production"
token_env = "WEB_KEY"

[[keys]]
team = "team_acme"
project = "prj_jobs"
environment = "preview"
token_env = "JOBS_KEY"

[[keys]]
team = "team_globex"
project = "prj_shop"
environment = "production"
token_env = "SHOP_KEY"

[[keys]]
team = "team_acme"
level = "team"
role = "admin"
token_env = "ACME_ADMIN_KEY"
${[
  ['acme', 'crm', 'prj_web', 'production'],
  ['acme', 'wiki', 'prj_jobs', 'preview'],
  ['globex', 'crm', 'prj_shop', 'production'],
  ['globex', 'mail', 'prj_shop', 'production'],
]
  .map(
    ([team, name, project, environment]) => `
[[connectors]]
id = "scl_${team}_${name}"
uid = "${team}/${name}"
team = "team_${team}"
name = "${name}"
type = "oauth"
data = { serverUrl = "${idp}", clientId = "conf", clientSecret_env = "IDP_SECRET", tokenEndpointAuthMethod = "client_secret_basic", \
userAuthorization = { enabled = true, scopes = ["openid", "offline_access", "api:read"] }, authorizationUrlParams = { prompt = "consent" } }
links = [{ project = "${project}", environments = ["${environment}"] }]
`,
  )
  .join('')}
[[connectors]]
id = "scl_weather"
uid = "weather"
team = "team_acme"
name = "Weather"
type = "api-key"
data = { values = [{ value_env = "WEATHER_KEY" }] }
links = [{ project = "prj_web", environments = ["production"] }]
`;

/** What everything in the file is about: who asks with which key for whose token of what. */
const USERS = [
  { key: SECRETS.WEB_KEY, project: 'web', team: 'acme', environment: 'production', connector: 'acme/crm', user: 'ada' },
  { key: SECRETS.JOBS_KEY, project: 'jobs', team: 'acme', environment: 'preview', connector: 'acme/wiki', user: 'ada' },
  { key: SECRETS.SHOP_KEY, project: 'shop', team: 'globex', environment: 'production', connector: 'globex/crm', user: 'gus' },
  { key: SECRETS.SHOP_KEY, project: 'shop', team: 'globex', environment: 'production', connector: 'globex/mail', user: 'gus' },
];

describe('one file, three nodes, two teams', () => {
  const nodes = [];
  const written = path.join(temporaryFolder('house'), 'house.toml');
  let peer;
  const apply = (...more) =>
    run(BIN, ['apply', '-f', written, '--json', ...more], { env: { ...SECRETS, GRANTRY_DATA_DIR: nodes[0].dataDir } });
  const changes = (report) => [...new Set(JSON.parse(report).rows.map(({ change }) => change))];

  before(async () => {
    nodes.push(await Grantry.start());
    const publicUrl = nodes[0].url;
    nodes.push(await nodes[0].another({ publicUrl }), await nodes[0].another({ publicUrl }));
    peer = await Peer.start('oidc-provider', { callbacks: [nodes[0].callback], env: { AT_TTL: '60' } });
    writeFileSync(written, file(peer.url));
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await peer?.stop();
  });

  it('is shown, made, and then as declared', async () => {
    assert.deepEqual(changes(await apply('--dry-run')), ['created']);
    assert.deepEqual(changes(await apply()), ['created']);
    assert.deepEqual(changes(await apply()), ['unchanged']);
    for (const node of nodes) {
      const listed = await node.call('GET', '/api/v1/connectors', { key: SECRETS.ACME_ADMIN_KEY });
      assert.deepEqual(listed.body.data.map(({ uid }) => uid).sort(), ['acme/crm', 'acme/wiki', 'weather']);
    }
  });

  it('users of both teams connect through whichever node', async () => {
    for (const [turn, { key, connector, user }] of USERS.entries()) {
      const node = nodes[turn % nodes.length];
      const asked = await node.authorize(connector, { key, subject: { type: 'user', id: user }, returnUrl: RETURN_URL });
      assert.equal(asked.status, 200, asked.text);
      assert.equal(new URL(asked.body.url).origin, nodes[0].url, 'links lead to the public URL');
      await new Visitor().connect(asked.body.url, RETURN_URL);
    }
  });

  it('every node gives curl, the command line and @vercel/connect the same token', async () => {
    for (const { key, connector, user, project, team, environment } of USERS) {
      const workload = await nodes[0].command('workload-token', '--team', team, '--project', project, '--environment', environment);
      const tokens = new Set();
      for (const node of nodes) {
        const answer = await run('curl', [
          ...['-s', `${node.url}/v1/connect/token/${encodeURIComponent(connector)}`, '-H', `Authorization: Bearer ${key}`],
          ...['-H', 'Content-Type: application/json', '-d', JSON.stringify({ subject: { type: 'user', id: user } })],
        ]);
        tokens.add(JSON.parse(answer).token);
        const env = { GRANTRY_URL: node.url, GRANTRY_KEY: key };
        tokens.add((await run(BIN, ['token', connector, '--user', user], { env })).trim());
        process.env.GRANTRY_URL = node.url;
        const options = { vercelToken: workload.trim() };
        tokens.add((await getTokenResponse(connector, { subject: { type: 'user', id: user } }, options)).token);
      }
      assert.equal(tokens.size, 1, connector);
      assert.equal(await peer.honours([...tokens][0]), true);
    }
  });

  it('an API key of the file is handed out to the linked project and to nobody else', async () => {
    const ask = (key) => nodes[1].token('weather', { key, subject: { type: 'app' } });
    assert.equal((await ask(SECRETS.WEB_KEY)).body.token, SECRETS.WEATHER_KEY);
    assert.equal((await ask(SECRETS.JOBS_KEY)).status, 403);
    assert.equal((await ask(SECRETS.SHOP_KEY)).status, 404);
  });

  it("one team's key learns nothing of the other's", async () => {
    const there = await nodes[2].token('acme/crm', { key: SECRETS.SHOP_KEY, subject: { type: 'user', id: 'ada' } });
    const nowhere = await nodes[2].token('acme/none', { key: SECRETS.SHOP_KEY, subject: { type: 'user', id: 'ada' } });
    assert.deepEqual([there.status, there.text], [404, nowhere.text]);
  });

  it('what would need a consent says where, in words for people', async () => {
    const env = { GRANTRY_URL: nodes[1].url, GRANTRY_KEY: SECRETS.WEB_KEY };
    const child = new Child(BIN, ['token', 'acme/crm', '--user', 'nobody'], { env });
    assert.equal(await child.exited, 7, child.output);
    assert.match(child.output, new RegExp(`${nodes[0].url}/authorize/`));
  });

  it('the file is the truth again after somebody meddled', async () => {
    const gone = await nodes[1].call('DELETE', '/api/v1/connectors/scl_weather', { key: SECRETS.ACME_ADMIN_KEY });
    assert.equal(gone.status, 204, gone.text);
    assert.deepEqual(changes(await apply()).sort(), ['restored', 'unchanged']);
    const back = await nodes[2].token('weather', { key: SECRETS.WEB_KEY, subject: { type: 'app' } });
    assert.equal(back.body.token, SECRETS.WEATHER_KEY, back.text);
  });
});
