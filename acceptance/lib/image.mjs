// Images as small as they can be: what is looked at, and nothing to see.
import { createHash } from 'node:crypto';
import { crc32, deflateSync } from 'node:zlib';

export const sha1 = (bytes) => createHash('sha1').update(bytes).digest('hex');

const u32 = (number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
};

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  return Buffer.concat([u32(data.length), body, u32(crc32(body))]);
}

/** A whole PNG, all transparent. */
export function png(width, height) {
  const header = Buffer.concat([u32(width), u32(height), Buffer.from([8, 4, 0, 0, 0])]);
  const rows = Buffer.alloc(height * (1 + 2 * width));
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** The frame of a JPEG, as a JFIF file has it; its picture is left out. */
export function jpeg(width, height) {
  const size = Buffer.alloc(4);
  size.writeUInt16BE(height, 0);
  size.writeUInt16BE(width, 2);
  return Buffer.concat([
    Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex'),
    Buffer.from('ffc0001108', 'hex'),
    size,
    Buffer.from('03012200021101031101ffd9', 'hex'),
  ]);
}
