// Types of calls by path and method, out of the daemon's own /openapi.json (schema.d.ts is made
// from api/openapi.json by `npm run types`).
import type { components, paths } from './schema';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
type Operation<P extends keyof paths, M extends Method> = paths[P][M];

// The paths that have a method.
export type PathOf<M extends Method> = {
  [P in keyof paths]: [Exclude<paths[P][M], undefined>] extends [never] ? never : P;
}[keyof paths] &
  string;

type JsonOf<R> = R extends { content: { 'application/json': infer J } } ? J : never;
type Answers<O> = O extends { responses: infer R }
  ? { [S in keyof R & (200 | 201 | 202)]: JsonOf<R[S]> }[keyof R & (200 | 201 | 202)]
  : never;
// What a call answers: the JSON of its 2xx; undefined where there is no body.
export type AnswerOf<P extends keyof paths, M extends Method> = [Answers<Operation<P, M>>] extends [
  never,
]
  ? undefined
  : Answers<Operation<P, M>>;

export type BodyOf<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { requestBody?: infer B }
    ? Exclude<B, undefined> extends { content: { 'application/json': infer J } }
      ? J
      : object
    : object;

export type QueryOf<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { parameters: { query?: infer Q } }
    ? { [K in keyof Exclude<Q, undefined>]?: string | number | boolean | null | undefined }
    : Record<string, never>;

// The names in braces of a path.
export type NamesOf<P extends string> = P extends `${string}{${infer N}}${infer R}`
  ? N | NamesOf<R>
  : never;

// A type of the document by name: Schema<'Artifact'>.
export type Schema<N extends keyof components['schemas']> = components['schemas'][N];
