// Reads a file in pieces and tells its SHA-256: in a worker, so that the page stays quick. A file of
// its own, because the page may run no script that it makes itself.
import { Sha256 } from './sha256';

export type Said = { done: number } | { sha256: string } | { error: string };

const pieceBytes = 4 << 20;
const tell = (said: Said) =>
  (self as unknown as { postMessage: (said: Said) => void }).postMessage(said);

self.onmessage = async ({ data: file }: MessageEvent<File>) => {
  const hash = new Sha256();
  try {
    for (let at = 0; at < file.size; at += pieceBytes) {
      hash.update(new Uint8Array(await file.slice(at, at + pieceBytes).arrayBuffer()));
      tell({ done: Math.min(file.size, at + pieceBytes) });
    }
    tell({ sha256: hash.finish() });
  } catch (error) {
    tell({
      error: `The file cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    });
  }
};
