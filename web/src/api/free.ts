// Making a thing by PUT must not replace one that is there.
import { ApiError, fieldRefusal } from './error';

export function taken(field: string, name: string): ApiError {
  const words = `"${name}" is there already. Change that one, or choose another name.`;
  return fieldRefusal(field, words, 409);
}

// `look`: the GET of the thing's place. Refuses beside `field` when something is there.
export async function mustBeFree(look: Promise<unknown>, field: string, name: string): Promise<void> {
  try {
    await look;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return;
    throw error;
  }
  throw taken(field, name);
}
