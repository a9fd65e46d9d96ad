// Something done to many things, one after the other: a refusal stops it, and what was done is known.
import { ApiError } from './error';

export interface Bulk {
  done: string[];
  // Why it stopped; undefined when all is done.
  refused: unknown;
}

// `isGoneFine`: what is not there (404) is passed over, as of a deletion it may have gone in the try
// before.
export async function oneByOne(
  ids: string[],
  act: (id: string) => Promise<unknown>,
  isGoneFine = false,
): Promise<Bulk> {
  const done: string[] = [];
  for (const id of ids) {
    try {
      await act(id);
      done.push(id);
    } catch (error) {
      const isGone = error instanceof ApiError && error.status === 404;
      if (!(isGoneFine && isGone)) return { done, refused: error };
    }
  }
  return { done, refused: undefined };
}
