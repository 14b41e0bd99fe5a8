// README's "Your own connector", pasted: its files and commands as they stand there, with nothing put in their place
// but hosts, ports and the provider's credentials.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BIN } from './lib/grantry.mjs';
import { CLIENTS, Peer } from './lib/peers.mjs';
import { Child, freePort, temporaryFolder, until } from './lib/process.mjs';
import { Visitor } from './lib/visitor.mjs';

const root = path.join(import.meta.dirname, '..');
const README = readFileSync(path.join(root, 'README.md'), 'utf8');

/** The fenced blocks of a section: [language, text]. */
function blocks(title) {
  const [, section] = README.split(`\n## ${title}\n`);
  assert.ok(section, `README has a section "${title}"`);
  const [text] = section.split('\n## ');
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, text]) => [language, text]);
}

/** A shell that keeps its variables from one block to the next, as a terminal does. */
class Terminal {
  constructor(cwd, env) {
    this.child = spawn('bash', ['--noprofile', '--norc'], { cwd, env: { ...process.env, ...env } });
    this.output = '';
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (this.output += text));
  }

  /** Pastes `text` and gives what was printed, and how the last command ended. */
  async paste(text) {
    const from = this.output.length;
    const mark = `pasted-${Math.random()}`;
    this.child.stdin.write(`${text}\nended=$?; echo; echo "${mark} $ended"\n`);
    const ended = () => new RegExp(`^${mark} (\\d+)$`, 'm').exec(this.output.slice(from));
    await until(() => ended(), text, 60);
    const [line, code] = ended();
    return { code: Number(code), output: this.output.slice(from).replace(line, '') };
  }

  close() {
    this.child.kill();
  }
}

describe('README, your own connector', () => {
  const cwd = temporaryFolder('readme');
  const [declaration, install, apply, ask, use, ...more] = blocks('Your own connector');
  let peer, url, server, terminal, put;

  before(async () => {
    url = `http://127.0.0.1:${await freePort()}`;
    peer = await Peer.start('oidc-provider', { callbacks: [`${url}/callback`] });
    /** Hosts, ports and credentials of this machine in the place of README's. */
    put = (text) =>
      [
        ['https://idp.acme.example', peer.url],
        ['https://grantry.acme.example', url],
        ['http://127.0.0.1:8787', url],
        ['clientId = "…"', `clientId = "${CLIENTS.conf.id}"`],
        ['ACME_SECRET=…', `ACME_SECRET=${CLIENTS.conf.secret}`],
      ].reduce((text, [theirs, ours]) => text.replaceAll(theirs, ours), text);
    symlinkSync(BIN, path.join(cwd, 'grantry'));
    const env = {
      PATH: `${cwd}:${process.env.PATH}`,
      GRANTRY_LISTEN: new URL(url).host,
      // The provider of this test is on loopback, by http.
      GRANTRY_EGRESS_ALLOW: new URL(peer.url).host,
    };
    terminal = new Terminal(cwd, env);
    const serve = /^grantry (serve .*?) +#/m.exec(put(install[1]))[1];
    server = new Child(BIN, serve.split(' '), { cwd, env });
    await server.until(async () => (await fetch(`${url}/readyz`).catch(() => null))?.ok);
  });
  after(async () => {
    terminal?.close();
    await server?.stop();
    await peer?.stop();
  });

  it('is made of the blocks that this test knows', () => {
    assert.deepEqual([declaration, install, apply, ask, use].map(([language]) => language), ['toml', 'sh', 'sh', 'sh', 'sh']);
    assert.deepEqual(more, []);
    const [, crate] = /^cargo install --path (\S+)/m.exec(install[1]);
    assert.ok(existsSync(path.join(root, crate, 'src/main.rs')), 'what is installed is there');
  });

  it('applies what it declares', async () => {
    const [, name] = /^# (\S+\.toml)\n/.exec(declaration[1]);
    writeFileSync(path.join(cwd, name), put(declaration[1]));
    const first = await terminal.paste(put(apply[1]));
    assert.equal(first.code, 0, first.output);
    assert.match(first.output, /5 of 5 declared rows changed\./);
    const again = await terminal.paste(`grantry apply -f ${name}`);
    assert.match(again.output, /0 of 5 declared rows changed\./, 'it is idempotent, as the comment says');
  });

  it('asks for a token, is given a link, and then the token', async () => {
    const answered = (output) => output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
    const { output } = await terminal.paste(put(ask[1]).replaceAll(/^curl -s (.*?)(\\\n.*?)?$/gms, 'curl -s -w "\\n" $1$2'));
    const [refused, link] = answered(output);
    assert.equal(refused.error.code, 'user_authorization_required', output);
    const [, returnUrl] = /"returnUrl":"([^"]+)"/.exec(ask[1]);
    const arrived = await new Visitor().connect(link.url, returnUrl);
    assert.equal(`${arrived.origin}${arrived.pathname}`, returnUrl);
    assert.equal(arrived.search, '', arrived.href);
    const [given] = answered((await terminal.paste(put(ask[1]).replaceAll(/-H 'Content-Type/g, '-w "\\n" -H \'Content-Type'))).output);
    assert.equal(await peer.honours(given.token), true);
  });

  it('does the same on the command line', async () => {
    const lines = put(use[1]).split('\n').filter(Boolean);
    const shown = {};
    for (const line of lines) {
      if (/^grantry events tail/.test(line)) {
        const tail = new Child(path.join(cwd, 'grantry'), ['events', 'tail', '--since', '1h'], { cwd });
        try {
          await tail.until(() => tail.output.includes('authorization.completed'));
          tail.process.kill('SIGINT');
          assert.equal(await tail.exited, 130);
        } finally {
          await tail.kill();
        }
        continue;
      }
      const { code, output } = await terminal.paste(line);
      assert.equal(code, 0, `${line}\n${output}`);
      shown[line.split(' ').slice(0, 2).join(' ')] = output;
    }
    const [token] = /^\S{20,}$/m.exec(shown['grantry token']);
    assert.equal(await peer.honours(token), true);
    assert.match(shown['grantry run'], new RegExp(`^${token.length}$`, 'm'));
    assert.match(shown['grantry connections'], /scl_1 +u1 +production +active/);
    assert.match(shown['grantry doctor'], / 0 failed/);
  });

  it('tells who has not connected where to, with the exit code that its comment names', async () => {
    const line = put(use[1]).split('\n').find((line) => line.startsWith('grantry token')).replace('u1', 'u2');
    const [, code] = /exit code (\d+)/.exec(line);
    const asked = await terminal.paste(`GRANTRY_URL=${url} GRANTRY_KEY=$WEB_KEY ${line}`);
    assert.equal(asked.code, Number(code));
    assert.match(asked.output, new RegExp(`${url}/authorize/`));
  });
});
