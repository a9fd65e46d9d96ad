// Buttons, fields and forms. A field shows what the daemon said about it, right beside it.
import {
  type ComponentChildren,
  createContext,
  type JSX,
  type TargetedEvent,
  type TargetedInputEvent,
} from 'preact';
import { useContext, useId } from 'preact/hooks';
import { lastDay } from './DateRange';

export type ButtonKind = 'primary' | 'plain' | 'quiet' | 'danger';

interface ButtonProps {
  children: ComponentChildren;
  kind?: ButtonKind;
  busy?: boolean;
  disabled?: boolean;
  type?: 'button' | 'submit';
  label?: string;
  title?: string;
  onClick?: (event: MouseEvent) => void;
}
// Does something. `busy` keeps its width and says so; `label` is the name where the text is short.
export function Button({
  children,
  kind = 'plain',
  busy,
  disabled,
  type = 'button',
  label,
  title,
  onClick,
}: ButtonProps) {
  return (
    <button
      type={type}
      class={`button ${kind}`}
      disabled={disabled}
      aria-disabled={busy || undefined}
      aria-busy={busy || undefined}
      aria-label={label}
      title={title}
      onClick={(event) => {
        if (!busy) onClick?.(event as unknown as MouseEvent);
        else event.preventDefault();
      }}
    >
      {children}
    </button>
  );
}

// Goes somewhere and looks like a button.
export function LinkButton({
  href,
  kind = 'plain',
  children,
}: {
  href: string;
  kind?: ButtonKind;
  children: ComponentChildren;
}) {
  return (
    <a class={`button ${kind}`} href={href}>
      {children}
    </a>
  );
}

interface FormState {
  errors: Record<string, string>;
}
// What a form knows of its fields.
export const FormContext = createContext<FormState>({ errors: {} });

interface Labelled {
  name: string;
  label: string;
  hint?: ComponentChildren;
  error?: string | undefined;
}

function useFieldError(name: string, own: string | undefined): string | undefined {
  const { errors } = useContext(FormContext);
  return own ?? errors[name];
}

function Around({
  id,
  label,
  hint,
  error,
  children,
}: Omit<Labelled, 'name'> & { id: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="field-error" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}
const described = (id: string, hint: unknown, error: unknown): string | undefined =>
  [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ') || undefined;

// The attributes of <input> that a field may have.
export interface InputProps {
  type?:
    | 'text'
    | 'password'
    | 'email'
    | 'number'
    | 'search'
    | 'url'
    | 'date'
    | 'datetime-local'
    | 'tel'
    | 'file';
  value?: string | number;
  defaultValue?: string | number;
  checked?: boolean;
  defaultChecked?: boolean;
  required?: boolean;
  disabled?: boolean;
  readOnly?: boolean;
  autofocus?: boolean;
  spellcheck?: boolean;
  autocomplete?: string;
  placeholder?: string;
  pattern?: string;
  inputMode?: 'text' | 'decimal' | 'numeric' | 'email' | 'url';
  min?: string | number;
  max?: string | number;
  step?: string | number;
  minLength?: number;
  maxLength?: number;
  accept?: string;
  multiple?: boolean;
  list?: string;
  onInput?: (event: TargetedInputEvent<HTMLInputElement>) => void;
  onChange?: (event: TargetedEvent<HTMLInputElement>) => void;
}
// A secret that is no password of the reader's: hidden as one, but nothing that a manager of passwords would
// fill in, or keep as theirs.
const maskedInput: object = { type: 'text', class: 'masked', autocomplete: 'off', autocapitalize: 'none', spellcheck: false };
// One line of text, a number, a date, a password …
export function Field({
  name,
  label,
  hint,
  error,
  masked = false,
  ...input
}: Labelled & InputProps & { masked?: boolean }) {
  const id = useId();
  const said = useFieldError(name, error);
  return (
    <Around id={id} label={label} hint={hint} error={said}>
      <input
        {...(input.type === 'date' && { max: lastDay })}
        {...(input as object)}
        {...(masked && maskedInput)}
        id={id}
        name={name}
        aria-invalid={said ? true : undefined}
        aria-describedby={described(id, hint, said)}
      />
    </Around>
  );
}

// Whose password a form is about, for managers of passwords: it is not seen, and not sent.
export function AccountName({ address }: { address: string | undefined }) {
  return <input type="text" autocomplete="username" value={address ?? ''} readOnly hidden />;
}

// Several lines of text.
export function TextField({
  name,
  label,
  hint,
  error,
  ...area
}: Labelled & Omit<JSX.IntrinsicElements['textarea'], 'name' | 'id'>) {
  const id = useId();
  const said = useFieldError(name, error);
  return (
    <Around id={id} label={label} hint={hint} error={said}>
      <textarea
        rows={4}
        {...area}
        id={id}
        name={name}
        aria-invalid={said ? true : undefined}
        aria-describedby={described(id, hint, said)}
      />
    </Around>
  );
}

export interface Choice {
  value: string;
  label: string;
}
// One of few.
export function Select({
  name,
  label,
  hint,
  error,
  choices,
  value,
  onChange,
  required,
}: Labelled & {
  choices: Choice[];
  value?: string;
  onChange?: (value: string) => void;
  required?: boolean;
}) {
  const id = useId();
  const said = useFieldError(name, error);
  return (
    <Around id={id} label={label} hint={hint} error={said}>
      <select
        id={id}
        name={name}
        required={required}
        {...(onChange ? { value } : {})}
        aria-invalid={said ? true : undefined}
        aria-describedby={described(id, hint, said)}
        onChange={(event) => onChange?.(event.currentTarget.value)}
      >
        {choices.map((one) => (
          <option key={one.value} value={one.value} selected={one.value === value}>
            {one.label}
          </option>
        ))}
      </select>
    </Around>
  );
}

// Yes or no.
export function Checkbox({ name, label, hint, error, ...input }: Labelled & InputProps) {
  const id = useId();
  const said = useFieldError(name, error);
  return (
    <div class="field check">
      <input
        {...(input as object)}
        type="checkbox"
        id={id}
        name={name}
        aria-invalid={said ? true : undefined}
        aria-describedby={described(id, hint, said)}
      />
      <label for={id}>{label}</label>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {said && (
        <p class="field-error" id={`${id}-error`} role="alert">
          {said}
        </p>
      )}
    </div>
  );
}
