// Which uploads were begun here and are not at their end: what is needed to go on with one when the
// same file is dropped again after a reload. Ids and names; nothing secret.

// `person` and `place`: whose it is, and where it goes; nobody else goes on with it.
export interface Kept {
  id: string;
  name: string;
  bytes: number;
  modified: number;
  person: string;
  place: string;
  at: number;
}
export interface FileFacts {
  name: string;
  size: number;
  lastModified: number;
}

const name = 'kvcs.uploads';
// The daemon ends an upload that nobody goes on with after a day.
const keptMs = 7 * 86_400_000;

export function parseKept(text: string | null, now: number): Kept[] {
  try {
    const all: unknown = JSON.parse(text ?? '[]');
    return (Array.isArray(all) ? all : []).filter(
      (one: Partial<Kept> | null): one is Kept =>
        typeof one?.id === 'string' &&
        typeof one.name === 'string' &&
        typeof one.bytes === 'number' &&
        typeof one.modified === 'number' &&
        typeof one.person === 'string' &&
        typeof one.place === 'string' &&
        typeof one.at === 'number' &&
        now - one.at < keptMs,
    );
  } catch {
    return [];
  }
}

export function readKept(): Kept[] {
  try {
    return parseKept(localStorage.getItem(name), Date.now());
  } catch {
    return [];
  }
}

function write(all: Kept[]): void {
  try {
    if (all.length === 0) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(all));
  } catch {
    // A browser that keeps nothing begins anew after a reload.
  }
}

export const keep = (one: Kept): void =>
  write([...readKept().filter((old) => old.id !== one.id), one]);
export const forget = (id: string): void => write(readKept().filter((one) => one.id !== id));

// The upload that this file is the rest of.
export function findKept(
  all: Kept[],
  file: FileFacts,
  person: string,
  place: string,
): Kept | undefined {
  return all.find(
    (one) =>
      one.name === file.name &&
      one.bytes === file.size &&
      one.modified === file.lastModified &&
      one.person === person &&
      one.place === place,
  );
}
