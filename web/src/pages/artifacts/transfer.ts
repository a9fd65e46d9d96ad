// Sends one file's bytes by the tus protocol. A connection that breaks is tried again, from the byte
// that the daemon has; so is a session that ended, once somebody signed in.
import type { DetailedError, Upload } from 'tus-js-client';
import { api, ApiError } from '../../api/client';
import { refusalOf as readRefusal, partMissing } from '../../api/error';
import { askSignIn, loadMe, meStore } from '../../api/session';
import { refusalOf } from './refusal';

export const uploadPath = (id: string): string => `/api/v1/uploads/${encodeURIComponent(id)}`;
export const tusHeaders = { 'tus-resumable': '1.0.0' };
const retryMs = [0, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 30_000];

export interface Hooks {
  onProgress: (sentBytes: number) => void;
  // It is tried again: the connection broke, or the daemon is busy. A browser also sends a request
  // again by itself; the page then hears only that the daemon is further, or busy with the first.
  onRetry: () => void;
  onDone: () => void;
  // `isOver`: the daemon takes no more bytes for it.
  onError: (error: unknown, isOver: boolean) => void;
}
export interface Sending {
  pause: () => Promise<void>;
  goOn: () => void;
}

const statusOf = (error: unknown): number =>
  (error as DetailedError).originalResponse?.getStatus() ?? 0;
// What is worth another try: no answer, another request at the same upload, a daemon that is busy.
// A full disk is not: it is told, and somebody makes room first.
const isFullDisk = (status: number): boolean => status === 507;
export const isWorthRetrying = (status: number): boolean =>
  status === 0 || status === 409 || status === 423 || status === 429 || (status >= 500 && !isFullDisk(status));

function wordsOf(error: unknown): unknown {
  const answer = (error as DetailedError).originalResponse;
  if (!answer)
    return new ApiError(
      0,
      'The connection broke, and the daemon does not answer. What arrived is kept.',
    );
  if (answer.getStatus() === 401)
    return new ApiError(401, 'Your session has ended. Sign in to go on; what arrived is kept.');
  let body: unknown = null;
  try {
    body = JSON.parse(answer.getBody());
  } catch {
    // An answer without words.
  }
  if (answer.getStatus() === 404)
    return new ApiError(404, 'The daemon has ended this upload. Begin anew.');
  return refusalOf(readRefusal(answer.getStatus(), body, new Headers(), '/api/v1/uploads'));
}

// The session ended, or another tab signed in: true when it is worth going on, as the same person. Somebody
// has begun this upload or gone on with it, so that the question is put also where it was closed before.
async function mendSession(person: string): Promise<boolean> {
  try {
    if ((await loadMe()) === null && !(await askSignIn(false))) return false;
    return meStore.get()?.person_id === person;
  } catch {
    return false;
  }
}

// `person`: who began it. Nobody else's session sends for them.
export async function send(
  file: File,
  id: string,
  person: string,
  hooks: Hooks,
): Promise<Sending> {
  const tus = await import('tus-js-client').catch(() => {
    throw partMissing();
  });
  let mended = 0;
  const upload: Upload = new tus.Upload(file, {
    uploadUrl: api.url(uploadPath(id)),
    retryDelays: retryMs,
    storeFingerprintForResuming: false,
    onBeforeRequest: (request) => {
      const me = meStore.get();
      if (me?.person_id !== person) throw new Error('Somebody else has signed in.');
      request.setHeader('X-CSRF-Token', me.csrf_token ?? '');
    },
    onShouldRetry: (error) => {
      const again = isWorthRetrying(statusOf(error)) && meStore.get()?.person_id === person;
      if (again) hooks.onRetry();
      return again;
    },
    onProgress: (sent) => {
      if (sent > 0) mended = 0;
      hooks.onProgress(sent);
    },
    onSuccess: () => hooks.onDone(),
    onError: (error) => {
      const status = statusOf(error);
      const isSession = status === 401 || status === 403;
      if (isSession && mended++ === 0) {
        void mendSession(person).then((good) => {
          if (good) upload.start();
          else hooks.onError(wordsOf(error), false);
        });
        return;
      }
      hooks.onError(wordsOf(error), !isSession && !isFullDisk(status) && !isWorthRetrying(status));
    },
  });
  upload.start();
  return { pause: () => upload.abort(), goOn: () => upload.start() };
}
