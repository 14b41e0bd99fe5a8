// The README's first command, as a newcomer runs it: in a fresh folder, and then once more.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BIN } from './lib/grantry.mjs';
import { Child, run, temporaryFolder } from './lib/process.mjs';

/** The commands that `dev` prints for pasting: lines that begin with the program's own path. */
const commands = (output) => output.split('\n').map((line) => line.trim()).filter((line) => line.startsWith(BIN));

describe('dev --once', () => {
  const cwd = temporaryFolder('dev');
  for (const where of ['a fresh folder', 'the same folder'])
    it(`shows a token in ${where}`, async () =>
      assert.match(await run(BIN, ['dev', '--once'], { cwd }), /token/i));
});

describe('dev', () => {
  let child;
  const cwd = temporaryFolder('dev');
  before(async () => {
    child = new Child(BIN, ['dev'], { cwd });
    await child.until(() => commands(child.output).length > 0, 30);
  });
  after(() => child?.stop());

  it('prints next commands that work when pasted', async () => {
    const pasted = commands(child.output);
    assert.ok(pasted.length >= 3, child.output);
    for (const command of pasted) await run('/bin/sh', ['-c', command], { cwd });
  });

  it('takes other ports when its own are busy', async () => {
    const second = new Child(BIN, ['dev', '--once'], { cwd: temporaryFolder('dev') });
    assert.equal(await second.exited, 0, second.output);
  });

  it('ends cleanly when asked', async () => {
    assert.equal(await child.stop(), 0);
  });
});
