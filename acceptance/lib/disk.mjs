// A small disk of its own, which a test may fill.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import path from 'node:path';

const mounted = new Set();
const unmount = (folder) => {
  mounted.delete(folder);
  // Lazily: a server that is being killed may hold it a moment longer.
  spawnSync('umount', ['--lazy', folder]);
};
process.on('exit', () => mounted.forEach(unmount));

export class Disk {
  /** Puts `mebibytes` of memory in the place of the empty folder `folder`; undefined where only root may. */
  static mount(folder, mebibytes) {
    const options = `size=${mebibytes}m,mode=0700`;
    const done = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'grantry-acceptance', folder]);
    if (done.status !== 0) return undefined;
    mounted.add(folder);
    return new Disk(folder);
  }

  constructor(folder) {
    this.folder = folder;
    this.filler = path.join(folder, 'filler');
  }

  get free() {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Somebody else's file takes all but `left` bytes. */
  fill(left = 0) {
    const bytes = (existsSync(this.filler) ? statSync(this.filler).size : 0) + this.free - left;
    execFileSync('fallocate', ['--length', `${bytes}`, this.filler]);
  }

  /** That file is deleted. */
  makeRoom() {
    unlinkSync(this.filler);
  }

  unmount() {
    unmount(this.folder);
  }
}
