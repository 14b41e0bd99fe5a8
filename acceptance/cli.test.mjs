// The command line as a person meets it: in a terminal, in three shells, in the manual, in a pipe.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BIN, Grantry } from './lib/grantry.mjs';
import { Child, freePort, run, temporaryFolder, until } from './lib/process.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, world } from './lib/world.mjs';

const python = path.join(import.meta.dirname, '.cache/venv/bin/python');
const terminal = path.join(import.meta.dirname, 'lib/terminal.py');
const cwd = temporaryFolder('cli');
const env = { NO_COLOR: '', CLICOLOR_FORCE: '', TERM: 'xterm', GRANTRY_TEAM: undefined, GRANTRY_URL: undefined, GRANTRY_KEY: undefined };

/** What a person sees of a command; `react` presses keys. */
async function seen(line, { columns = 80, react = [], variables = {} } = {}) {
  const order = JSON.stringify({ command: [BIN, ...line.split(' ')], columns, react });
  return JSON.parse(await run(python, [terminal, order], { cwd, env: { ...env, ...variables } }));
}

/** What a script gets of a command. */
const piped = (line, variables = {}) =>
  spawnSync(BIN, line.split(' '), { cwd, env: { ...process.env, ...env, ...variables }, encoding: 'utf8' });

const plain = (text) => text.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '').replaceAll('\r', '');

let dev;
before(async () => {
  dev = new Child(BIN, ['dev'], { cwd });
  await dev.until(() => dev.output.includes('Try next'), 60);
});
after(() => dev?.stop());

describe('in a terminal', () => {
  it('colours what a person reads, and obeys NO_COLOR, CLICOLOR_FORCE and --color', async () => {
    const coloured = /\x1b\[/;
    assert.match((await seen('connections list')).output, /\x1b\[32mactive\x1b\[0m/);
    for (const [line, variables] of [
      ['connections list --color never', {}],
      ['connections list', { NO_COLOR: '1' }],
      ['connections list', { TERM: 'dumb' }],
    ])
      assert.doesNotMatch((await seen(line, { variables })).output, coloured, line);
    assert.doesNotMatch(piped('connections list').stdout, coloured);
    assert.match(piped('connections list', { CLICOLOR_FORCE: '1' }).stdout, coloured);
    assert.match(piped('connections list --color always').stdout, coloured);
    assert.doesNotMatch(piped('connections list --json', { CLICOLOR_FORCE: '1' }).stdout, coloured);
  });

  it('keeps a table within its width, and ids whole', async () => {
    const id = JSON.parse(piped('connections list --json').stdout)[0].id;
    for (const columns of [60, 80, 120]) {
      const rows = plain((await seen('events list', { columns })).output).split('\n');
      assert.ok(rows.length > 3);
      for (const row of rows) assert.ok([...row].length <= Math.max(columns, 70), `${columns}: ${row}`);
      assert.ok(plain((await seen('connections list', { columns })).output).includes(id));
    }
    assert.match(plain((await seen('connections list')).output), / ago|now/);
    assert.match(piped('connections list').stdout, /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/);
  });

  it('asks before it destroys, unless told not to', async () => {
    const make = () => {
      const made = piped('connectors create --name Gone --uid oauth/gone --service sandbox --client-id x --json', {});
      assert.equal(made.status, 0, made.stderr);
    };
    make();
    const no = await seen('connectors delete oauth/gone', { react: [['[y/N]', 'n\r']] });
    assert.match(no.output, /Delete connector oauth\/gone, its secrets and all its connections\?/);
    assert.equal(no.exit, 1);
    assert.match(no.output, /nothing was changed/);
    const interrupted = await seen('connectors delete oauth/gone', { react: [['[y/N]', '\x03']] });
    assert.equal(interrupted.exit, 130);
    assert.equal(piped('connectors show oauth/gone').status, 0);
    const yes = await seen('connectors delete oauth/gone', { react: [['[y/N]', 'y\r']] });
    assert.equal(yes.exit, 0, yes.output);
    make();
    const told = await seen('connectors delete oauth/gone --yes');
    assert.equal(told.exit, 0, told.output);
    assert.doesNotMatch(told.output, /y\/N/);
    make();
    assert.equal(piped('connectors delete oauth/gone').status, 0);
  });

  it('shows that it waits only after a moment, only there, and cleans up after itself', async () => {
    const port = await freePort();
    const slow = http.createServer((_, answer) =>
      setTimeout(() => answer.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[],"next_cursor":null}'), 1500),
    );
    await new Promise((listening) => slow.listen(port, '127.0.0.1', listening));
    const there = { GRANTRY_URL: `http://127.0.0.1:${port}`, GRANTRY_KEY: 'k' };
    try {
      const { output, exit } = await seen('connectors list', { variables: there });
      assert.equal(exit, 0, output);
      assert.match(output, /Waiting for the server/);
      assert.match(output, /no connectors yet/);
      // The line of the spinner is erased before anything else is said.
      assert.match(output, /\x1b\[2K[^]*no connectors yet/);
      assert.doesNotMatch((await seen('connectors list --quiet', { variables: there })).output, /Waiting/);
      const quick = await seen('connectors list');
      assert.doesNotMatch(quick.output, /Waiting/);
      const child = new Child(BIN, ['connectors', 'list'], { cwd, env: { ...env, ...there } });
      await child.exited;
      assert.doesNotMatch(child.output, /Waiting/);
      const stopped = await seen('connectors list', { variables: there, react: [['Waiting for the server', '\x03']] });
      assert.equal(stopped.exit, 130);
      assert.doesNotMatch(stopped.output, /error/);
    } finally {
      slow.close();
    }
  });

  it('waits until the user has connected, and then prints the token', async () => {
    const waiting = new Child(BIN, ['token', 'sandbox/demo', '--user', 'wanda', '--wait'], { cwd, env });
    await waiting.until(() => /Open (http\S+)/.test(waiting.output));
    const [, url] = /Open (http\S+)/.exec(waiting.output);
    const visitor = new Visitor();
    const { page: link } = await visitor.open(url);
    const { page: provider } = await visitor.press(link);
    const [{ action, fields }] = provider.forms;
    const query = fields.find(([name]) => name === 'query')[1].replaceAll('&#38;', '&');
    const body = new URLSearchParams({ query, user: 'alice', decision: 'allow' });
    const { page } = await visitor.open(action, { method: 'POST', body });
    await waiting.until(() => /^at_\S+$/m.test(waiting.output)).catch((error) => assert.fail(`${error.message} ${page.text}`));
    assert.equal(await waiting.exited, 0, waiting.output + page.text);
    assert.match(waiting.output, /^at_\S+$/m);
  });
});

describe('in a pipe', () => {
  it('says nothing when its reader goes away', () => {
    const script = `"${BIN}" openapi | head -c 10; echo " \${PIPESTATUS[0]}"`;
    const ended = spawnSync('bash', ['-c', script], { cwd, encoding: 'utf8' });
    assert.equal(ended.stderr, '');
    assert.match(ended.stdout, / 0\n$/);
  });

  it('prints one JSON value for every command that has rows', () => {
    for (const line of [
      'connectors list', 'connectors show sandbox/demo', 'connectors links sandbox/demo', 'connections list',
      'events list', 'keys list', 'token sandbox/demo --user alice', 'doctor --data-dir grantry-dev --offline',
    ]) {
      const { stdout, stderr } = piped(`${line} --json`);
      assert.doesNotThrow(() => JSON.parse(stdout), `${line}: ${stdout}${stderr}`);
    }
  });

  it('ends with the codes that its help documents', () => {
    for (const [line, code] of [
      ['connectors list', 0],
      ['connectors show nope', 1],
      ['connectors list --bogus', 2],
      ['token sandbox/demo --user nobody', 7],
      ['connectors list --data-dir nowhere', 8],
      ['run sandbox/demo --user alice --as T -- ./absent', 127],
      ['run sandbox/demo --user alice --as T -- /etc/passwd', 126],
    ]) {
      assert.equal(piped(line).status, code, line);
    }
    const own = spawnSync(BIN, ['run', 'sandbox/demo', '--user', 'alice', '--as', 'T', '--', 'sh', '-c', 'exit 3'], { cwd });
    assert.equal(own.status, 3);
  });
});

describe('run', () => {
  it('hands the command its token and none of our secrets, and signals reach it', async () => {
    const secrets = { GRANTRY_MASTER_KEY: 'm4ster', GRANTRY_DATABASE_URL: 'postgres://u:p4ss@h/d' };
    const shown = spawnSync(BIN, ['run', 'sandbox/demo', '--user', 'alice', '--as', 'T', '--', 'env'], {
      cwd, encoding: 'utf8', env: { ...process.env, ...env, ...secrets },
    });
    assert.match(shown.stdout, /^T=at_/m, shown.stderr);
    assert.doesNotMatch(shown.stdout, /m4ster|p4ss|GRANTRY_KEY=./);
    const script = 'trap "echo heard; exit 5" TERM; echo ready; while :; do sleep 0.05; done';
    const child = new Child(BIN, ['run', 'sandbox/demo', '--user', 'alice', '--as', 'T', '--', 'sh', '-c', script], { cwd, env });
    await child.until(() => child.output.includes('ready'));
    assert.equal(readFileSync(`/proc/${child.process.pid}/comm`, 'utf8').trim(), 'sh', 'the command takes our place');
    child.process.kill('SIGTERM');
    assert.equal(await child.exited, 5);
    assert.match(child.output, /heard/);
  });
});

describe('events tail', () => {
  it('shows what happens as it happens', async () => {
    const tail = new Child(BIN, ['events', 'tail', '--kind', 'connector.*', '--json'], { cwd, env });
    let heard = false;
    for (let made = 0; made < 20 && !heard; made++) {
      assert.equal(piped(`connectors create --name T${made} --uid oauth/t${made} --service sandbox --client-id x`).status, 0);
      await until(() => (heard = tail.output.includes('connector.created')), 'an event', 4).catch(() => {});
    }
    assert.ok(heard, tail.output);
    const event = JSON.parse(tail.output.trim().split('\n')[0]);
    assert.equal(event.kind, 'connector.created');
    tail.process.kill('SIGINT');
    assert.equal(await tail.exited, 130);
  });

  it('goes on where it was when the server comes back', async () => {
    const server = await Grantry.start(world());
    const there = { GRANTRY_URL: server.url, GRANTRY_KEY: KEYS.admin };
    const tail = new Child(BIN, ['events', 'tail', '--kind', 'key.created', '--since', '1m', '--json'], { cwd, env: { ...env, ...there } });
    const heard = () => tail.output.split('\n').filter((line) => line.startsWith('{')).length;
    const make = (name) => server.command('keys', 'create', '--name', name, '--team', 'acme');
    await make('before');
    await until(() => heard() > 0, 'an event before');
    const before = heard();
    await server.kill();
    await until(() => tail.output.includes('Trying again'), 'a word that the server is lost');
    await server.serve();
    await make('after');
    await until(() => heard() > before, 'the event after', 40);
    assert.equal(heard(), before + 1, 'each is shown once');
    assert.match(tail.output, /The server is back\./);
    tail.process.kill('SIGINT');
    await tail.exited;
    await server.stop();
  });
});

describe('completions', () => {
  const have = (shell) => spawnSync(shell, ['--version']).status === 0;
  const folder = temporaryFolder('completions');
  const script = (shell) => {
    const file = path.join(folder, shell);
    writeFileSync(file, execFileSync(BIN, ['completions', shell]));
    return file;
  };

  it('are loaded by bash, which completes with them', () => {
    const ask = 'COMP_WORDS=(grantry connectors at); COMP_CWORD=2; _grantry grantry at connectors; echo "${COMPREPLY[*]}"';
    const said = execFileSync('bash', ['-c', `source ${script('bash')} && ${ask}`], { encoding: 'utf8' });
    assert.equal(said.trim(), 'attach');
  });

  it('are loaded by fish, which completes with them', { skip: !have('fish') && 'no fish' }, () => {
    const ask = `source ${script('fish')}; complete -C 'grantry connectors at'`;
    const said = execFileSync('fish', ['--no-config', '-c', ask], { encoding: 'utf8' });
    assert.match(said, /^attach\t/m);
  });

  it('are loaded by zsh', { skip: !have('zsh') && 'no zsh' }, () => {
    const ask = `autoload -U compinit; compinit -u -d ${folder}/dump; source ${script('zsh')}; print $_comps[grantry]`;
    const said = execFileSync('zsh', ['-f', '-c', ask], { encoding: 'utf8' });
    assert.equal(said.trim(), '_grantry');
  });
});

describe('the manual', () => {
  const folder = temporaryFolder('man');
  before(() => execFileSync(BIN, ['man', folder]));
  const pages = () => readdirSync(folder);

  it('has a page for each command', () => {
    for (const page of ['grantry.1', 'grantry-connectors.1', 'grantry-connectors-attach.1', 'grantry-doctor.1', 'grantry-events-tail.1'])
      assert.ok(pages().includes(page), page);
  });

  it('is rendered by man without a complaint', { skip: spawnSync('man', ['--version']).status !== 0 && 'no man' }, () => {
    for (const page of pages()) {
      const shown = spawnSync('man', ['--warnings', '-l', path.join(folder, page)], {
        encoding: 'utf8', env: { ...process.env, MANPAGER: 'cat', MANWIDTH: '80', LC_ALL: 'C.UTF-8' },
      });
      assert.equal(shown.stderr, '', page);
      assert.match(shown.stdout, /SYNOPSIS/, page);
    }
  });

  it('has no error for mandoc', { skip: spawnSync('mandoc', ['-V'], { input: '' }).error && 'no mandoc' }, () => {
    for (const page of pages()) {
      const lint = spawnSync('mandoc', ['-Tlint', '-Werror', path.join(folder, page)], { encoding: 'utf8' });
      assert.equal(lint.stdout, '', page);
    }
  });
});
