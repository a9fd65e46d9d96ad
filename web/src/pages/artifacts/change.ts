// What is done to artifacts, from the list and from the page of one.
import { type Bulk, oneByOne } from '../../api/bulk';
import { api, wordsOf } from '../../api/client';
import { invalidate } from '../../api/query';
import { counted, toast } from '../../ui';
import { inWords } from './refusal';
import { type Artifact, type Visibility } from './words';

export const listPath = '/api/v1/artifacts';
export const onePath = '/api/v1/artifacts/{id}';

export function readAgain(): void {
  invalidate(listPath);
  invalidate('/api/v1/quota');
  invalidate('/api/v1/catalogue');
}

async function each(
  ids: string[],
  act: (id: string) => Promise<unknown>,
  isGoneFine = false,
): Promise<Bulk> {
  const result = await oneByOne(ids, (id) => inWords(act(id)), isGoneFine);
  readAgain();
  return result;
}
// "29 of 50 are public. Why it stopped."
const partly = ({ done, refused }: Bulk, all: number, words: string): string =>
  `${done.length} of ${all} ${done.length === 1 ? 'is' : 'are'} ${words}. ${wordsOf(refused)}`;

const setVisibility = (id: string, visibility: Visibility) =>
  api.post('/api/v1/artifacts/{id}/visibility', { path: { id }, body: { visibility } });

// Resolves with whether all are so now.
export async function changeVisibility(all: Artifact[], visibility: Visibility): Promise<boolean> {
  const ids = all.filter((one) => one.visibility !== visibility).map((one) => one.artifact_id);
  if (ids.length === 0) {
    toast(
      `${counted(all.length, 'artifact')} ${all.length === 1 ? 'is' : 'are'} ${visibility} already.`,
    );
    return true;
  }
  const text =
    all.length === 1
      ? `${all[0]?.name ?? ''} is ${visibility}.`
      : `${counted(ids.length, 'artifact')} ${ids.length === 1 ? 'is' : 'are'} ${visibility}.`;
  const other = visibility === 'public' ? 'private' : 'public';
  const result = await each(ids, (id) => setVisibility(id, visibility));
  const { done, refused } = result;
  const undo = async () => {
    const back = await each(done, (id) => setVisibility(id, other));
    if (back.refused) throw new Error(partly(back, done.length, `${other} again`));
  };
  const words = refused && ids.length === 1 ? wordsOf(refused) : partly(result, ids.length, visibility);
  toast(refused ? words : text, {
    tone: refused ? 'bad' : 'info',
    ...(done.length > 0 && { undo }),
  });
  return !refused;
}

// Throws the words of what was not done.
function failOf(result: Bulk, of: number, word: string): void {
  if (!result.refused) return;
  if (of === 1) throw result.refused;
  throw new Error(partly(result, of, word));
}

export async function restoreAll(ids: string[]): Promise<void> {
  const result = await each(ids, (id) =>
    api.post('/api/v1/artifacts/{id}/restore', { path: { id } }),
  );
  failOf(result, ids.length, 'back');
}

export async function deleteForGood(ids: string[]): Promise<void> {
  const result = await each(
    ids,
    (id) => api.delete(onePath, { path: { id }, query: { permanent: true } }),
    true,
  );
  failOf(result, ids.length, 'deleted');
}

// With a way back, for those that the daemon keeps: an upload that was never finished is gone.
export async function deleteAll(all: Pick<Artifact, 'artifact_id' | 'name'>[]): Promise<void> {
  const kept: string[] = [];
  const result = await each(
    all.map((one) => one.artifact_id),
    async (id) => {
      const gone = await api.ask('delete', onePath, { path: { id } });
      if (gone.headers.has('x-kvcs-restorable-until')) kept.push(id);
    },
    true,
  );
  const { length } = result.done;
  const text =
    all.length === 1 ? `${all[0]?.name ?? ''} is` : `${counted(length, 'artifact')} ${length === 1 ? 'is' : 'are'}`;
  if (length > 0) {
    toast(`${text} deleted.`, kept.length > 0 ? { undo: () => restoreAll(kept) } : {});
  }
  failOf(result, all.length, 'deleted');
}

// Where the bytes are, seen from this page: the daemon may know itself by another name.
export function blobAddress(downloadUrl: string): string {
  const { pathname, search, href } = new URL(downloadUrl);
  const at = pathname.lastIndexOf('/blobs/');
  return at < 0 ? href : api.url(pathname.slice(at)) + search;
}

// A fresh address of the bytes: the one of the artifact ends after a while.
export async function download(id: string): Promise<void> {
  const { download_url } = await inWords(
    api.post('/api/v1/artifacts/{id}/download-url', { path: { id } }),
  );
  const link = document.createElement('a');
  link.href = blobAddress(download_url);
  link.click();
}
