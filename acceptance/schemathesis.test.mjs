// PyPI schemathesis against the served OpenAPI document, with a key of every role: no 5xx, no status that the
// document does not tell of, no answer that breaks its schema, nothing wrong accepted.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { run, temporaryFolder } from './lib/process.mjs';
import { KEYS, PROJECT, TEAM, world } from './lib/world.mjs';

const python = path.join(import.meta.dirname, '.cache/venv/bin/python');

/** Cases are sent for so long, after that one of each operation: on an idle machine the suite stays under 90 s. */
const SECONDS = 45;
/** Random cases for each operation, beside those that its schema's limits make. */
const EXAMPLES = 6;
const SEED = 20261127;

const SERVER = 'tok_acceptance_fuzz_server';
const ACCOUNT = 'tok_acceptance_fuzz_account';

const SEEDED = {
  keys: [
    { level: 'server', role: 'admin', token: SERVER },
    { level: 'account', account: 'acc_1', role: 'admin', token: ACCOUNT },
  ],
  connectors: [
    {
      id: 'scl_key',
      uid: 'api-key/stored',
      team: TEAM,
      name: 'A stored key',
      type: 'api-key',
      service: 'example.com',
      data: { subjectType: 'app', values: [{ value: 'stored' }] },
      links: [{ project: PROJECT, environments: ['production'] }],
    },
  ],
};

describe('schemathesis', () => {
  let server;
  let keys;
  before(async () => {
    server = await Grantry.start(world(SEEDED));
    const owner = await server.call('POST', `/api/v1/keys?team=${TEAM}`, { key: SERVER, body: { role: 'owner' } });
    assert.equal(owner.status, 201, owner.text);
    keys = {
      server: SERVER,
      account: ACCOUNT,
      owner: owner.body.key,
      admin: KEYS.admin,
      member: KEYS.member,
      'token-only': KEYS.tokenOnly,
      workload: KEYS.workload,
    };
  });
  after(() => server?.stop());

  it('finds nothing wrong, whoever asks', async () => {
    const report = await run(
      python,
      [
        ...['-m', 'pytest', path.join(import.meta.dirname, 'lib/schemathesis_roles.py')],
        ...['-q', '-p', 'no:cacheprovider', '--tb=short', '--no-header', `--hypothesis-seed=${SEED}`],
      ],
      {
        cwd: temporaryFolder('schemathesis'),
        env: {
          GRANTRY_URL: server.url,
          GRANTRY_KEYS: JSON.stringify(keys),
          SECONDS: String(SECONDS),
          EXAMPLES: String(EXAMPLES),
          PYTHONDONTWRITEBYTECODE: '1',
        },
      },
    );
    const document = await (await fetch(`${server.url}/api/v1/openapi.json`)).json();
    const operations = Object.values(document.paths).flatMap((item) => Object.keys(item));
    const [, passed] = /(\d+) passed/.exec(report) ?? [];
    // It leaves out the operation that it read the document by.
    assert.equal(Number(passed), operations.length - 1, report);
    assert.equal((await fetch(`${server.url}/readyz`)).status, 200);
  });
});
