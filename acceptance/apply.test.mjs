// `grantry apply`, driven as its user: the documented example, dry runs, edits, --prune, mistakes, the three ways in,
// and a kill in the middle of a large file.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BIN, Grantry, toml } from './lib/grantry.mjs';
import { Child, run, until } from './lib/process.mjs';

const EXAMPLE = path.join(import.meta.dirname, '../docs/apply-example.toml');

/** A server on a new data folder, which is at rest until a test wants it. */
async function house() {
  const server = await Grantry.start();
  await server.stop();
  if (server.databaseUrl) {
    process.env.GRANTRY_DATABASE_URL = server.databaseUrl;
    process.env.GRANTRY_MASTER_KEY_FILE = server.masterKey;
  }
  return server;
}

/** Runs `apply`; gives its exit code, what it printed, and of that the standard output. */
async function apply(server, text, args = [], env = {}) {
  const file = path.join(server.folder, 'file.toml');
  writeFileSync(file, text);
  const child = new Child(BIN, ['apply', '-f', file, ...args], {
    env: { GRANTRY_DATA_DIR: server.dataDir, ...env },
  });
  let stdout = '';
  child.process.stdout.on('data', (text) => (stdout += text));
  const code = await child.exited;
  return { code, output: child.output, stdout };
}

/** The report of an apply that must succeed. */
async function report(server, text, args = [], env = {}) {
  const { code, output, stdout } = await apply(server, text, ['--json', ...args], env);
  assert.equal(code, 0, output);
  return JSON.parse(stdout);
}

const changes = ({ rows }) => rows.map(({ table, id, change }) => `${change} ${table} ${id}`);

describe('the documented example', () => {
  let server;
  const example = readFileSync(EXAMPLE, 'utf8');
  before(async () => (server = await house()));
  after(() => server?.stop());

  it('is shown by a dry run, which changes nothing', async () => {
    const first = await report(server, example, ['--dry-run']);
    assert.equal(first.dry_run, true);
    assert.equal(first.summary.created, first.rows.length);
    assert.deepEqual(await report(server, example, ['--dry-run']).then(({ summary }) => summary), first.summary);
  });

  it('is made once, and found as it is the second time', async () => {
    const made = await report(server, example);
    assert.equal(made.summary.created, made.rows.length);
    const again = await report(server, example);
    assert.equal(again.summary.unchanged, again.rows.length);
  });

  it('shows what an edit changes, and of a secret only that it changes', async () => {
    const edited = example
      .replace('name = "Acme"\ntype', 'name = "Acme CRM"\ntype')
      .replace('conf-secret', 'other-secret')
      .replace('value = "s3cret"', 'value = "n3w"')
      .replace('name = "web"', 'name = "shop"');
    const { code, output } = await apply(server, edited, ['--dry-run']);
    assert.equal(code, 0, output);
    for (const line of [
      /updated +projects +prj_1 +shop/,
      / {4}name: "web" -> "shop"/,
      / {4}name: "Acme" -> "Acme CRM"/,
      / {4}data\.clientSecret: changed \(secret\)/,
      / {4}value: changed \(secret\)/,
    ])
      assert.match(output, line);
    assert.doesNotMatch(output, /other-secret|conf-secret|s3cret|n3w/);
    assert.equal((await report(server, edited)).summary.updated, 3);
    assert.equal((await report(server, example)).summary.updated, 3);
  });

  it('serves the imported token, and never puts it in the place of another', async () => {
    await server.serve();
    const key = 'tok_workload_of_the_example_0123456789';
    const workload = { id: 'key_w', team: 'team_1', project: 'prj_1', environment: 'production', token: key };
    await report(server, toml({ keys: [workload] }));
    const served = async () => {
      const { status, body, text } = await server.token('scl_1', { key, subject: { type: 'user', id: 'u1' } });
      assert.equal(status, 200, text);
      return body.token;
    };
    assert.equal(await served(), 'at_1');
    const older = example.replace('at_1', 'at_0').replace('rt_1', 'rt_0');
    const rows = (await report(server, older)).rows.filter(({ table }) => table === 'connections');
    assert.deepEqual(rows.map(({ change }) => change), ['unchanged']);
    assert.equal(await served(), 'at_1');
  });

  it('brings back what was deleted', async () => {
    const gone = await server.call('DELETE', '/v1/connect/connectors/scl_1', { key: 'tok_abc123' });
    assert.ok(gone.status < 300, gone.text);
    const mended = changes(await report(server, example));
    assert.ok(mended.includes('restored connectors scl_1'), mended.join('\n'));
    assert.ok(mended.includes('restored connections conn_1'), mended.join('\n'));
  });
});

const HOUSE = {
  accounts: [{ id: 'acc_1', name: 'Acme' }],
  teams: [{ id: 'team_1', account: 'acc_1', slug: 'acme' }],
  keys: [{ id: 'key_1', team: 'team_1', role: 'admin', token: 'tok_apply_acceptance_0123456789' }],
  secrets: [
    { id: 'sec_1', team: 'team_1', name: 'one', value: '1' },
    { id: 'sec_2', team: 'team_1', name: 'two', value: '2' },
  ],
};

describe('at a terminal', () => {
  let server;
  const python = path.join(import.meta.dirname, '.cache/venv/bin/python');
  const terminal = path.join(import.meta.dirname, 'lib/terminal.py');
  const secrets = (names) => names.map((name) => ({ id: `sec_${name}`, team: 'team_1', name, value: `value of ${name}` }));
  const file = (names) => toml({ accounts: HOUSE.accounts, teams: HOUSE.teams, secrets: secrets(names) });
  /** What is on the screen in the end: what was erased is gone. */
  const screen = (output) => output.replace(/[^\n]*\x1b\[2K/g, '').replace(/\x1b\[[0-9;]*m/g, '').replaceAll('\r', '');

  async function seen(text, args = [], react = [], at = server) {
    const written = path.join(at.folder, 'seen.toml');
    writeFileSync(written, text);
    const order = JSON.stringify({ command: [BIN, 'apply', '-f', written, ...args], columns: 80, react });
    const env = { GRANTRY_DATA_DIR: at.dataDir, TERM: 'xterm', NO_COLOR: '', CLICOLOR_FORCE: '' };
    return JSON.parse(await run(python, [terminal, order], { env }));
  }

  before(async () => (server = await Grantry.start()));
  after(() => server?.stop());

  it('a bar says how far a large file is and how long it will take, and leaves nothing behind', async () => {
    // As many rows as this machine is at for longer than a bar takes to appear.
    let names, output, bars;
    for (let rows = 20_000; rows <= 1_280_000 && !(bars?.length > 1); rows *= 4) {
      names = Array.from({ length: rows }, (_, number) => `n${number}`);
      const fresh = await Grantry.start();
      try {
        const said = await seen(file(names), [], [], fresh);
        output = said.output;
        assert.equal(said.exit, 0, output.slice(-500));
      } finally {
        await fresh.stop();
      }
      const found = output.matchAll(new RegExp(`Writing \\[=*>? *\\] (\\d+)/${rows + 2} \\S+ left`, 'g'));
      bars = [...found].map(([, done]) => Number(done));
    }
    assert.ok(bars.length > 1, output.slice(0, 2000));
    const width = `sec_${names.at(-1)}`.length;
    assert.deepEqual(bars, bars.toSorted((one, two) => one - two));
    for (const line of output.split(/\r|\n/)) assert.ok([...line.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '')].length <= 80, line);
    assert.equal(
      screen(output),
      [
        `created   accounts  ${'acc_1'.padEnd(width)}  Acme`,
        `created   teams     ${'team_1'.padEnd(width)}  acme`,
        ...names.slice(0, 20).map((name) => `created   secrets   ${`sec_${name}`.padEnd(width)}  ${name}`),
        `created   secrets: ${names.length - 20} more (--json has them all)`,
        `${names.length + 2} of ${names.length + 2} declared rows changed.`,
        '',
      ].join('\n'),
    );
  });

  it('--prune shows all that it would do, asks once, and does not show it again', async () => {
    const few = Array.from({ length: 40 }, (_, number) => `n${number}`);
    await report(server, file(few));
    const edited = file(few.slice(2)).replace('value of n7"', 'another"');
    const no = await seen(edited, ['--prune'], [['[y/N]', 'n\r']]);
    assert.equal(no.exit, 1);
    const shown = [
      'updated   secrets  sec_n7  n7',
      '    value: changed (secret)',
      'removed   secrets  sec_n1  n1',
      'removed   secrets  sec_n0  n0',
      '1 of 40 declared rows would change; 2 that are not declared would be removed.',
    ];
    assert.equal(screen(no.output), [...shown, 'Change 1 row and remove 2? [y/N] n', 'error: not confirmed: nothing was changed', ''].join('\n'));
    const yes = await seen(edited, ['--prune'], [['[y/N]', 'y\r']]);
    assert.equal(yes.exit, 0);
    const done = '1 of 40 declared rows changed; 2 that are not declared were removed.';
    assert.equal(screen(yes.output), [...shown, 'Change 1 row and remove 2? [y/N] y', done, ''].join('\n'));
    const told = await seen(file(few.slice(3)), ['--prune', '--yes']);
    assert.doesNotMatch(told.output, /y\/N/);
    assert.match(screen(told.output), /removed   secrets  sec_n2  n2\n/);
  });
});

describe('three ways in', () => {
  let server;
  before(async () => (server = await house()));
  after(() => server?.stop());

  it('each give the same report', async () => {
    const file = toml(HOUSE);
    const resting = await report(server, file, ['--dry-run']);
    await server.serve();
    const socket = await report(server, file, ['--dry-run']);
    const key = readFileSync(path.join(server.dataDir, 'first-server-key'), 'utf8').trim();
    const api = await report(server, file, ['--dry-run'], { GRANTRY_URL: server.url, GRANTRY_KEY: key });
    assert.deepEqual(socket, resting);
    assert.deepEqual(api, resting);
    const made = await report(server, file, [], { GRANTRY_URL: server.url, GRANTRY_KEY: key });
    assert.equal(made.summary.created, 5);
    await server.stop();
    assert.equal((await report(server, file)).summary.unchanged, 5);
  });

  it('take away what is not declared when told to, and nothing of other tables', async () => {
    const less = toml({ teams: HOUSE.teams, secrets: HOUSE.secrets.slice(1) });
    assert.equal((await report(server, less)).summary.removed, 0);
    const shown = await apply(server, less, ['--dry-run', '--prune']);
    assert.match(shown.output, /removed +secrets +sec_1 +one/);
    assert.match(shown.output, /1 that are not declared would be removed/);
    // Nobody is at a terminal: nothing is asked.
    const pruned = await report(server, less, ['--prune']);
    assert.deepEqual(
      changes(pruned).filter((line) => line.startsWith('removed')),
      ['removed secrets sec_1'],
    );
    assert.equal((await report(server, less, ['--prune'])).summary.removed, 0);
    const teamless = await apply(server, 'secrets = []', ['--prune']);
    assert.equal(teamless.code, 2, teamless.output);
    assert.match(teamless.output, /no row in \[\[teams\]\]/);
  });

  it('tell every mistake with its place, and write nothing', async () => {
    const wrong = `
      [[teams]]
      id = "team_2"
      account = "acc_9"
      slug = "other"
      [[secrets]]
      team = "acne"
      name = "three"
      value_env = "ABSENT_VARIABLE"
    `;
    const env = await apply(server, wrong);
    assert.equal(env.code, 2);
    assert.match(env.output, /secrets\[0\]\.value_env: the environment variable ABSENT_VARIABLE is not set/);
    const set = await apply(server, wrong, [], { ABSENT_VARIABLE: 'x' });
    assert.equal(set.code, 2, set.output);
    assert.match(set.output, /\[\[teams\]\] row 1 \(team_2\), account: "acc_9" is no account/);
    assert.match(set.output, /\[\[secrets\]\] row 1 \(three\), team: "acne" is no team.*did you mean acme\?/);
    const after = await report(server, toml({ teams: HOUSE.teams }), ['--dry-run']);
    assert.equal(after.summary.unchanged, 1);
  });
});

describe('a kill in the middle of a large file', () => {
  let server;
  before(async () => (server = await house()));
  after(() => server?.stop());

  it('leaves whole rows, and the next apply makes the rest', async () => {
    const secrets = Array.from({ length: 4000 }, (_, n) => ({ team: 'team_1', name: `secret ${n}`, value: `${n}` }));
    const file = path.join(server.folder, 'large.toml');
    writeFileSync(file, toml({ ...HOUSE, secrets }));
    await server.serve();
    const env = { GRANTRY_DATA_DIR: server.dataDir };
    const child = new Child(BIN, ['apply', '-f', file, '--json'], { env });
    const made = async () => {
      const { status } = await server.call('GET', '/v1/connect/connectors', { key: HOUSE.keys[0].token });
      return status === 200;
    };
    // The key is made before the secrets are.
    await until(made, 'the key of the file holds', 60);
    await server.kill();
    assert.notEqual(await child.exited, 0, 'it was killed too late to mean anything');
    rmSync(path.join(server.dataDir, 'control.sock'), { force: true });
    const rest = await report(server, readFileSync(file, 'utf8'));
    assert.equal(rest.summary.created + rest.summary.unchanged, rest.rows.length);
    assert.ok(rest.summary.created > 0, 'it was killed too late to mean anything');
    const again = await report(server, readFileSync(file, 'utf8'));
    assert.equal(again.summary.unchanged, again.rows.length);
  });
});
