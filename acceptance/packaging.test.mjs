// What is shipped beside the binary, as the tools that read it read it: hadolint, systemd.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { BIN } from './lib/grantry.mjs';
import { temporaryFolder } from './lib/process.mjs';

const packaging = path.join(import.meta.dirname, '../packaging');
const file = (name) => path.join(packaging, name);

/** A command that must succeed: what it printed. */
function said(command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${error ?? stdout + stderr}`);
  return stdout + stderr;
}

describe('the image recipe', () => {
  it('is as hadolint wants it', () => {
    assert.equal(said(path.join(import.meta.dirname, '.cache/venv/bin/hadolint'), file('Containerfile')), '');
  });

  it('builds with the pinned toolchain', () => {
    const { channel } = /channel = "(?<channel>[^"]+)"/.exec(readFileSync(path.join(packaging, '../rust-toolchain.toml'), 'utf8')).groups;
    assert.ok(readFileSync(file('Containerfile'), 'utf8').includes(`/rust:${channel}-alpine`), channel);
  });
});

describe('the systemd unit', () => {
  const folder = temporaryFolder('unit');
  /** The unit as it is installed, but for where the binary is. */
  const installed = (edit = (text) => text) => {
    const unit = path.join(folder, 'grantry.service');
    writeFileSync(unit, edit(readFileSync(file('grantry.service'), 'utf8').replaceAll('/usr/bin/grantry', BIN)));
    return unit;
  };

  it('holds nothing that systemd does not know', () => {
    assert.equal(said('systemd-analyze', 'verify', installed()), '');
    // It only warns; what the test must not miss is the word.
    const misspelt = installed((text) => text.replace('NoNewPrivileges', 'NoNewPrivilege'));
    assert.match(said('systemd-analyze', 'verify', misspelt), /Unknown key/);
  });

  it('leaves an intruder little: systemd puts its exposure below 2 of 10', () => {
    said('systemd-analyze', 'security', '--offline=true', '--threshold=20', installed());
  });

  it('finds its user and its folder', () => {
    const root = path.join(folder, 'root');
    mkdirSync(path.join(root, 'etc'), { recursive: true });
    said('systemd-sysusers', `--root=${root}`, file('grantry.sysusers'));
    const passwd = readFileSync(path.join(root, 'etc/passwd'), 'utf8');
    const [, uid, gid] = /^grantry:[^:]*:(\d+):(\d+):Grantry:\/var\/lib\/grantry:/m.exec(passwd);
    assert.ok(Number(uid) > 0 && Number(uid) < 1000, 'a system user');
    said('systemd-tmpfiles', `--root=${root}`, '--create', file('grantry.tmpfiles'));
    const made = statSync(path.join(root, 'etc/grantry'));
    assert.deepEqual([made.mode & 0o777, made.uid, made.gid], [0o750, 0, Number(gid)]);
  });
});
