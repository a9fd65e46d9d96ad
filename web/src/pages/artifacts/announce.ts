// What is said of a file before its bytes are sent: the same as the command line says.
import { isRecord } from '../../api/client';
import type { KvHeader } from './kv-header';

// The daemon keeps 64 KiB about an artifact; a sidecar that is longer stays at home.
const sidecarMaxBytes = 60 << 10;

export type Sidecar = Record<string, unknown>;

export interface Announcement {
  name: string;
  model_name: string;
  dtype: string;
  num_tokens: number;
  size_bytes: number;
  sha256: string;
  visibility: 'private';
  project_id?: string;
  metadata: Record<string, unknown>;
}

// "context.kv" → "context".
export const plainName = (fileName: string): string => fileName.replace(/\.kv$/i, '') || fileName;

// Throws, with words, when the sidecar is of another file.
export function checkSidecar(sidecar: Sidecar, header: KvHeader, bytes: number): void {
  const real: Record<string, number> = {
    num_layers: header.layers,
    num_tokens: header.tokens,
    nbytes: bytes,
  };
  for (const [name, value] of Object.entries(real)) {
    if (sidecar[name] !== undefined && sidecar[name] !== value) {
      throw new Error(
        `Its sidecar is of another file: ${name} is ${String(sidecar[name])} there, and ${value} here.`,
      );
    }
  }
}

export function parseSidecar(text: string): Sidecar | null {
  try {
    const read: unknown = JSON.parse(text);
    return isRecord(read) ? read : null;
  } catch {
    return null;
  }
}

export function announce(
  fileName: string,
  bytes: number,
  header: KvHeader,
  sha256: string,
  sidecar: Sidecar | null,
  project = '',
): Announcement {
  const name = plainName(fileName);
  const model = typeof sidecar?.['model_name'] === 'string' ? sidecar['model_name'] : header.model;
  const fits =
    sidecar !== null && new TextEncoder().encode(JSON.stringify(sidecar)).length <= sidecarMaxBytes;
  return {
    name,
    model_name: model,
    dtype: header.quantized ? header.dtype : header.storageDtype,
    num_tokens: header.tokens,
    size_bytes: bytes,
    sha256,
    visibility: 'private',
    ...(project !== '' && { project_id: project }),
    metadata: {
      name,
      sha256,
      num_layers: header.layers,
      quantized: header.quantized,
      storage_dtype: header.storageDtype,
      ...(fits && { sidecar }),
    },
  };
}

// Which of the dropped files are artifacts, each with its sidecar: context.kv and context.kv.json.
export function pairs<F extends { name: string }>(
  files: F[],
): { file: F; sidecar: F | undefined }[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  return files
    .filter((file) => !(file.name.endsWith('.kv.json') && byName.has(file.name.slice(0, -5))))
    .map((file) => ({ file, sidecar: byName.get(`${file.name}.json`) }));
}
