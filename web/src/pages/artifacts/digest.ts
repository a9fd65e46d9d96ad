// The SHA-256 of a file, in a worker.
import { partMissing } from '../../api/error';
import type { Said } from './digest-worker';

// The name of the worker's file beside this one, put in by the build.
declare const digestWorker: string;

export function digestOf(
  file: File,
  onProgress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(digestWorker, import.meta.url), { type: 'module' });
    const end = (run: () => void) => {
      worker.terminate();
      run();
    };
    signal.addEventListener('abort', () =>
      end(() => reject(new DOMException('Stopped.', 'AbortError'))),
    );
    worker.onerror = () => end(() => reject(partMissing()));
    worker.onmessage = ({ data }: MessageEvent<Said>) => {
      if ('done' in data) onProgress(data.done);
      else if ('sha256' in data) end(() => resolve(data.sha256));
      else end(() => reject(new Error(data.error)));
    };
    worker.postMessage(file);
  });
}
