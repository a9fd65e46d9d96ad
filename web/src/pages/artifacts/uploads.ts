// The uploads of this tab: each file's head is read, its digest computed, the upload announced, and
// its bytes sent. They go on while other pages are looked at.
import { api, ApiError, wordsOf } from '../../api/client';
import { invalidate } from '../../api/query';
import { meStore } from '../../api/session';
import { createStore } from '../../store';
import { toast } from '../../ui';
import { announce, checkSidecar, pairs, parseSidecar, plainName, type Sidecar } from './announce';
import { digestOf } from './digest';
import { findKept, forget, keep, readKept } from './kept';
import { type KvHeader, readHeader } from './kv-header';
import { inWords } from './refusal';
import { send, type Sending, tusHeaders, uploadPath } from './transfer';

// waiting for its turn; reading the digest; sending; retrying after a break; paused by hand; stopped,
// because the daemon does not answer or refused; kept, of before a reload, waiting for its file; done.
export type Phase =
  | 'waiting'
  | 'reading'
  | 'sending'
  | 'retrying'
  | 'paused'
  | 'stopped'
  | 'failed'
  | 'kept'
  | 'done';
// `done`: bytes read or sent. `perSecond`: bytes, 0 while unknown. `id`: '' before it is announced.
export interface Shown {
  key: number;
  name: string;
  bytes: number;
  phase: Phase;
  done: number;
  perSecond: number;
  retries: number;
  id: string;
  error: unknown;
  // Nothing had to be sent: the organization has these bytes.
  known: boolean;
}

export const uploads = createStore<Shown[]>([]);
const activeMax = 2;
let lastKey = 0;

// Whose an upload is, and where it goes: as it was when its file was added.
interface At {
  person: string;
  organization: string;
  project: string;
}
interface Work {
  at: At;
  file: File | null;
  header: KvHeader | null;
  sidecar: Sidecar | null;
  stop: AbortController;
  sending: Sending | null;
  since: number;
  from: number;
  // It waits for its organization to be active again.
  isAway: boolean;
}
const works = new Map<number, Work>();

const shownOf = (key: number): Shown | undefined => uploads.get().find((one) => one.key === key);
function change(key: number, part: Partial<Shown>): void {
  uploads.set(uploads.get().map((one) => (one.key === key ? { ...one, ...part } : one)));
}
const isActive = ({ phase }: Shown): boolean => ['reading', 'sending', 'retrying'].includes(phase);

const here = (): At => {
  const me = meStore.get();
  return {
    person: me?.person_id ?? '',
    organization: me?.organization_id ?? '',
    project: me?.project_id ?? '',
  };
};
const placeOf = ({ organization, project }: At): string => `${organization}/${project}`;

function add(part: Partial<Shown> & { name: string; bytes: number }, work: Partial<Work>): number {
  const key = ++lastKey;
  works.set(key, {
    at: here(),
    file: null,
    header: null,
    sidecar: null,
    stop: new AbortController(),
    sending: null,
    since: 0,
    from: 0,
    isAway: false,
    ...work,
  });
  uploads.set([
    ...uploads.get(),
    {
      key,
      phase: 'waiting',
      done: 0,
      perSecond: 0,
      retries: 0,
      id: '',
      error: undefined,
      known: false,
      ...part,
    },
  ]);
  return key;
}

// Begins with these files, or goes on with those that were begun before.
export async function addFiles(files: File[]): Promise<void> {
  const at = here();
  for (const { file, sidecar } of pairs(files)) {
    const kept = findKept(readKept(), file, at.person, placeOf(at));
    const shown = kept && uploads.get().find((one) => one.id === kept.id);
    // It is under way already, in this tab.
    if (shown && (isActive(shown) || shown.phase === 'waiting' || shown.phase === 'paused')) continue;
    if (shown) works.get(shown.key)!.file = file;
    if (shown) change(shown.key, { phase: 'waiting', error: undefined });
    else {
      const said = sidecar ? parseSidecar(await sidecar.text().catch(() => '')) : null;
      if (here().person !== at.person) return;
      await look(
        add({ name: file.name, bytes: file.size, id: kept?.id ?? '' }, { at, file, sidecar: said }),
        file,
      );
    }
  }
  pump();
}

// What is no .kv file, or has the sidecar of another one, is told at once.
async function look(key: number, file: File): Promise<void> {
  const work = works.get(key);
  if (!work) return;
  try {
    work.header = await readHeader(
      async (from, to) => new Uint8Array(await file.slice(from, to).arrayBuffer()),
      file.size,
    );
    if (work.sidecar) checkSidecar(work.sidecar, work.header, file.size);
  } catch (error) {
    fail(key, error);
  }
}

// Starts those whose turn it is.
function pump(): void {
  let free = activeMax - uploads.get().filter(isActive).length;
  for (const one of uploads.get()) {
    if (one.phase !== 'waiting' || free <= 0) continue;
    free--;
    void run(one.key);
  }
}

function fail(key: number, error: unknown, phase: 'failed' | 'stopped' = 'failed'): void {
  const work = works.get(key);
  if (!work || work.stop.signal.aborted) return;
  change(key, { phase, error, perSecond: 0 });
  pump();
}

// The daemon takes an upload in the organization that is active; in another one it waits.
const isElsewhere = (work: Work): boolean => work.at.organization !== here().organization;
function waitFor(key: number, work: Work): void {
  work.isAway = true;
  fail(key, new Error('It goes to another organization. Switch back there to go on.'), 'stopped');
}

// No answer, nobody signed in, or a daemon that is busy or full: another try may go well.
const mayPass = (error: unknown): boolean =>
  error instanceof ApiError &&
  (error.isSilent || error.status === 401 || error.status === 429 || error.status >= 500);

async function run(key: number): Promise<void> {
  const work = works.get(key);
  const file = work?.file;
  if (!work || !file) return;
  try {
    if (isElsewhere(work)) return waitFor(key, work);
    if (!shownOf(key)?.id) await announceFile(key, work, file);
    const isOver = ['done', 'failed', 'stopped'].includes(shownOf(key)?.phase ?? 'failed');
    if (work.stop.signal.aborted || isOver) return;
    await begin(key, work, file);
  } catch (error) {
    fail(key, error, mayPass(error) ? 'stopped' : 'failed');
  }
}

async function announceFile(key: number, work: Work, file: File): Promise<void> {
  change(key, { phase: 'reading', done: 0, error: undefined });
  if (!work.header) await look(key, file);
  const header = work.header;
  if (!header) return;
  clock(work, 0);
  const sha256 = await digestOf(file, (done) => progress(key, work, done), work.stop.signal);
  if (isElsewhere(work)) return waitFor(key, work);
  const body = JSON.stringify(
    announce(file.name, file.size, header, sha256, work.sidecar, work.at.project),
  );
  // With Upload-Have bytes that are there already need not come again. So often asked for one
  // digest that it is refused, they are sent.
  const ask = (have: Record<string, string>) =>
    inWords(
      api.raw(
        '/api/v1/uploads',
        {
          method: 'POST',
          headers: {
            ...tusHeaders,
            ...have,
            'content-type': 'application/json',
            'upload-length': String(file.size),
          },
          body,
          signal: work.stop.signal,
        },
        60_000,
      ),
    );
  const answer = await ask({ 'upload-have': '1' }).catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 429) return ask({});
    throw error;
  });
  const id =
    answer.headers.get('x-artifact-id') ?? answer.headers.get('location')?.split('/').pop() ?? '';
  change(key, { id, done: 0, perSecond: 0 });
  if (Number(answer.headers.get('upload-offset') ?? 0) >= file.size) return finish(key, true);
  keep({
    id,
    name: file.name,
    bytes: file.size,
    modified: file.lastModified,
    person: work.at.person,
    place: placeOf(work.at),
    at: Date.now(),
  });
  invalidate('/api/v1/quota');
}

async function begin(key: number, work: Work, file: File): Promise<void> {
  const id = shownOf(key)?.id ?? '';
  change(key, { phase: 'sending', error: undefined });
  clock(work, -1);
  work.sending = await send(file, id, work.at.person, {
    onProgress: (sent) => {
      if (work.since < 0) clock(work, sent);
      if (shownOf(key)?.phase === 'retrying') change(key, { phase: 'sending' });
      progress(key, work, sent);
    },
    onRetry: () => {
      clock(work, -1);
      const retries = (shownOf(key)?.retries ?? 0) + 1;
      change(key, { phase: 'retrying', retries, perSecond: 0 });
    },
    onDone: () => finish(key, false),
    onError: (error, isOver) => {
      work.sending = null;
      if (isElsewhere(work)) return waitFor(key, work);
      if (isOver) forget(id);
      if (isOver) change(key, { id: '' });
      fail(key, error, isOver ? 'failed' : 'stopped');
    },
  });
  // It was given up or paused while the sender was loaded.
  if (work.stop.signal.aborted || shownOf(key)?.phase === 'paused') await work.sending.pause();
}

// `from` -1: not known yet.
function clock(work: Work, from: number): void {
  work.since = from < 0 ? -1 : Date.now();
  work.from = from;
}
function progress(key: number, work: Work, done: number): void {
  const seconds = (Date.now() - work.since) / 1000;
  const perSecond = work.since > 0 && seconds > 0.5 ? (done - work.from) / seconds : 0;
  change(key, { done, perSecond });
}

function finish(key: number, known: boolean): void {
  const one = shownOf(key);
  if (!one) return;
  forget(one.id);
  change(key, { phase: 'done', done: one.bytes, known, error: undefined });
  works.delete(key);
  invalidate('/api/v1/artifacts');
  invalidate('/api/v1/quota');
  if (!location.hash.startsWith('#/artifacts')) toast(`${plainName(one.name)} is stored.`);
  pump();
}

export function pause(key: number): void {
  const work = works.get(key);
  change(key, { phase: 'paused', perSecond: 0 });
  void work?.sending?.pause();
  pump();
}

// After a pause, or after the daemon did not answer.
export function goOn(key: number): void {
  const work = works.get(key);
  if (!work?.file) return;
  work.isAway = false;
  if (work.sending) {
    change(key, { phase: 'sending', error: undefined });
    clock(work, -1);
    work.sending.goOn();
  } else {
    change(key, { phase: 'waiting', error: undefined });
    pump();
  }
}

// Takes the line away; what had arrived is given up.
export async function giveUp(key: number): Promise<void> {
  const one = shownOf(key);
  const work = works.get(key);
  work?.stop.abort();
  await work?.sending?.pause();
  works.delete(key);
  uploads.set(uploads.get().filter((other) => other.key !== key));
  pump();
  if (!one || one.id === '' || one.phase === 'done') return;
  forget(one.id);
  try {
    await api.raw(uploadPath(one.id), { method: 'DELETE', headers: tusHeaders }, 15_000);
    invalidate('/api/v1/quota');
  } catch (error) {
    // It has ended by itself, or it is another organization's, and ends by itself soon.
    if (error instanceof ApiError && error.status === 404) return;
    toast(`${plainName(one.name)}: ${wordsOf(error)}`, { tone: 'bad' });
  }
}

// Puts away the lines of what is stored or was refused.
export async function dismissEnded(): Promise<void> {
  const ended = uploads.get().filter((one) => one.phase === 'done' || one.phase === 'failed');
  await Promise.all(ended.map((one) => giveUp(one.key)));
}

// Shows what was begun before a reload, with how much of it has arrived.
export async function showKept(): Promise<void> {
  const at = here();
  for (const one of readKept()) {
    if (
      one.person !== at.person ||
      one.place !== placeOf(at) ||
      uploads.get().some((other) => other.id === one.id)
    )
      continue;
    try {
      const answer = await api.raw(
        uploadPath(one.id),
        { method: 'HEAD', headers: tusHeaders },
        15_000,
      );
      const done = Number(answer.headers.get('upload-offset') ?? 0);
      if (here().person !== at.person) return;
      if (done >= one.bytes) forget(one.id);
      else if (!uploads.get().some((other) => other.id === one.id)) {
        add({ name: one.name, bytes: one.bytes, id: one.id, phase: 'kept', done }, { at });
      }
    } catch (error) {
      // The daemon has ended it; one that does not answer, or refuses for now, still has it.
      if (error instanceof ApiError && [404, 410].includes(error.status)) forget(one.id);
    }
  }
}

if (typeof addEventListener === 'function') {
  addEventListener('online', () => {
    for (const one of uploads.get()) if (one.phase === 'stopped') goOn(one.key);
  });
  addEventListener('beforeunload', (event) => {
    if (uploads.get().some(isActive)) event.preventDefault();
  });
  // Another person must not go on with it: the lines of who signed out go away. What waits for the
  // organization that is active again goes on.
  let shownTo = here().person;
  meStore.subscribe(() => {
    const { person } = here();
    for (const [key, work] of works) {
      if (work.at.person !== person) {
        work.stop.abort();
        void work.sending?.pause();
        works.delete(key);
      } else if (work.isAway && !isElsewhere(work)) goOn(key);
    }
    if (person !== shownTo) uploads.set([]);
    shownTo = person;
  });
}
