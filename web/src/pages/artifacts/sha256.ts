// SHA-256 (FIPS 180-4) of bytes that come in pieces: the browser's own takes only all at once, and
// not on a plain-HTTP page of another host.

const constants = new Uint32Array(64);
const initial = new Uint32Array(8);

// The first 32 bits of the fractional parts of the roots of the first primes, as the standard has
// them.
{
  const fraction = (root: number) => Math.floor((root - Math.floor(root)) * 2 ** 32);
  let found = 0;
  for (let n = 2; found < 64; n++) {
    let prime = true;
    for (let by = 2; by * by <= n; by++) if (n % by === 0) prime = false;
    if (!prime) continue;
    if (found < 8) initial[found] = fraction(Math.sqrt(n));
    constants[found++] = fraction(Math.cbrt(n));
  }
}

const blockBytes = 64;

export class Sha256 {
  private readonly state = Uint32Array.from(initial);
  private readonly words = new Uint32Array(64);
  private readonly rest = new Uint8Array(blockBytes);
  private restBytes = 0;
  private totalBytes = 0;

  update(bytes: Uint8Array): this {
    this.totalBytes += bytes.length;
    let at = 0;
    if (this.restBytes > 0) {
      at = Math.min(blockBytes - this.restBytes, bytes.length);
      this.rest.set(bytes.subarray(0, at), this.restBytes);
      this.restBytes += at;
      if (this.restBytes < blockBytes) return this;
      this.block(new DataView(this.rest.buffer), 0);
      this.restBytes = 0;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (; at + blockBytes <= bytes.length; at += blockBytes) this.block(view, at);
    this.rest.set(bytes.subarray(at));
    this.restBytes = bytes.length - at;
    return this;
  }

  // The digest in hex. Nothing can be added after it.
  finish(): string {
    const bits = BigInt(this.totalBytes) * 8n;
    const padded = this.restBytes < 56 ? blockBytes : 2 * blockBytes;
    const end = new Uint8Array(padded);
    end.set(this.rest.subarray(0, this.restBytes));
    end[this.restBytes] = 0x80;
    const view = new DataView(end.buffer);
    view.setBigUint64(padded - 8, bits);
    for (let at = 0; at < padded; at += blockBytes) this.block(view, at);
    return [...this.state].map((word) => word.toString(16).padStart(8, '0')).join('');
  }

  private block(view: DataView, at: number): void {
    const { words: w, state } = this;
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15]!,
        y = w[i - 2]!;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) | 0;
    }
    let a = state[0]! | 0,
      b = state[1]! | 0,
      c = state[2]! | 0,
      d = state[3]! | 0;
    let e = state[4]! | 0,
      f = state[5]! | 0,
      g = state[6]! | 0,
      h = state[7]! | 0;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + constants[i]! + w[i]!) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] = state[0]! + a;
    state[1] = state[1]! + b;
    state[2] = state[2]! + c;
    state[3] = state[3]! + d;
    state[4] = state[4]! + e;
    state[5] = state[5]! + f;
    state[6] = state[6]! + g;
    state[7] = state[7]! + h;
  }
}
