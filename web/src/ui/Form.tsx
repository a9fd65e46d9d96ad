// A form: what was typed stays when the daemon refuses.
import { type ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type ApiError } from '../api/error';
import { useAction } from '../api/query';
import { Button, type ButtonKind, FormContext } from './controls';
import { usePlace } from '../router';
import { withPoint } from './decimal';
import { draftKey, dropDraft, forgetTyped, hasDraft, noteTyped, putBack } from './drafts';
import { ErrorBox, Notice } from './feedback';

export type Values = Record<string, string>;

// Refusals of a name that is taken, and the fields that may have given it.
const fieldsOfCodes: Record<string, string[]> = {
  slug_exists: ['slug', 'name'],
  name_in_deletion: ['slug', 'name'],
  slugs_full: ['slug'],
  email_exists: ['email'],
  sign_in_exists: ['email'],
};

// The daemon names the member of its API first; beside the field its label stands there already.
function besideField(name: string, words: string): string {
  const [led = ''] = /^[^\s:]+: /.exec(words) ?? [];
  if (led !== `${name}: ` && !led.endsWith(`.${name}: `)) return words;
  const rest = words.slice(led.length);
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

// What the daemon said of single fields: by its `field`, or else by a name that its words begin with
// ("name: is too long", "gpt-5.input_cost_per_token: …") or quote, or by its code.
export function fieldErrors(error: ApiError | undefined, names: string[]): Record<string, string> {
  if (!error) return {};
  const said: Record<string, string> = {};
  for (const name of names) {
    const words = error.fields[name];
    if (words !== undefined) said[name] = besideField(name, words);
  }
  if (Object.keys(said).length > 0) return said;
  const [led = ''] = /^[^\s:]+(?=: )/.exec(error.message) ?? [];
  const first = names.find((name) => led === name || led.endsWith(`.${name}`));
  if (first !== undefined) return { [first]: besideField(first, error.message) };
  const quoted = /["'`“]([\w.-]+)["'`”]/.exec(error.message)?.[1];
  if (quoted !== undefined && names.includes(quoted)) return { [quoted]: error.message };
  const taken = fieldsOfCodes[error.code]?.find((name) => names.includes(name));
  return taken === undefined ? {} : { [taken]: error.message };
}

interface FormProps {
  children: ComponentChildren;
  submit: string;
  kind?: ButtonKind;
  // The names and texts of all fields; an empty field is ''. Throw (or let api throw) to refuse.
  onSubmit: (values: Values) => Promise<unknown>;
  onCancel?: () => void;
}
// What another tab has closed under somebody's fingers, to be put back. Fields that others bring along are
// filled in once they are there.
function PutBack({ onPut, onDrop }: { onPut: () => void; onDrop: () => void }) {
  return (
    <Notice>
      You typed here when another tab went elsewhere.{' '}
      <Button onClick={onPut}>Put it back</Button> <Button kind="quiet" onClick={onDrop}>Forget it</Button>
    </Notice>
  );
}

// Fields and a button. What was typed stays when the daemon refuses; its words stand beside their
// field, or above the button.
export function Form({ children, submit, kind = 'primary', onSubmit, onCancel }: FormProps) {
  const form = useRef<HTMLFormElement>(null);
  const { path } = usePlace();
  const [draft, setDraft] = useState('');
  const drop = () => {
    dropDraft(draft);
    setDraft('');
  };
  const put = () => {
    const here = form.current;
    if (!here) return;
    putBack(here, draft);
    setTimeout(() => {
      putBack(here, draft);
      drop();
    });
  };
  useEffect(() => {
    const here = form.current;
    if (!here) return;
    const key = draftKey(path, submit, here);
    if (hasDraft(key)) setDraft(key);
    return () => forgetTyped(here);
  }, []);
  const [names, setNames] = useState<string[]>([]);
  const { run, busy, error } = useAction(onSubmit);
  const errors = fieldErrors(error, names);
  // What is said of fields that the form lacks, beside what is said of those it has.
  const rest =
    error && Object.keys(errors).length > 0
      ? Object.entries(error.fields)
          .filter(([name]) => !names.includes(name))
          .map(([, words]) => words)
      : [];
  useEffect(() => {
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [error]);
  return (
    <form
      class="form"
      ref={form}
      onInput={(event) => noteTyped(event.currentTarget, draftKey(path, submit, event.currentTarget))}
      onSubmit={(event) => {
        event.preventDefault();
        const values: Values = {};
        const elements = [...event.currentTarget.elements] as HTMLInputElement[];
        const decimals = elements.filter((one) => one.inputMode === 'decimal').map((one) => one.name);
        new FormData(event.currentTarget).forEach((value, name) => {
          values[name] = decimals.includes(name) ? withPoint(String(value)) : String(value);
        });
        setNames(elements.map((one) => one.name).filter(Boolean));
        void run(values).then((went) => {
          if (!went || !form.current) return;
          forgetTyped(form.current);
          drop();
        });
      }}
    >
      {draft !== '' && <PutBack onPut={put} onDrop={drop} />}
      <FormContext.Provider value={{ errors }}>{children}</FormContext.Provider>
      {error && Object.keys(errors).length === 0 && <ErrorBox error={error} />}
      {rest.length > 0 && <ErrorBox error={new Error(rest.join(' '))} />}
      <div class="form-actions">
        <Button type="submit" kind={kind} busy={busy}>
          {submit}
        </Button>
        {onCancel && (
          <Button kind="quiet" onClick={onCancel}>
            Cancel
          </Button>
        )}
      </div>
    </form>
  );
}
