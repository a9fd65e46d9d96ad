// What was typed into forms that close because another tab has gone to another place. It is kept until the
// page is left, to be put back by hand: what was typed for one organization is not put into another's form by
// itself. In memory alone; passwords and other secrets are left out.
type Draft = Record<string, string>;

const draftsMax = 20;
const drafts = new Map<string, Draft>();
// Forms on the page in which something was typed, by what they are told apart by.
const typedForms = new Map<HTMLFormElement, string>();

const isSecret = (field: HTMLInputElement): boolean =>
  ['password', 'file', 'hidden'].includes(field.type) || field.classList.contains('masked');
const fieldsOf = (form: HTMLFormElement): HTMLInputElement[] =>
  ([...form.elements] as HTMLInputElement[]).filter((one) => one.name && !isSecret(one));
const isTicked = (field: HTMLInputElement): boolean => ['checkbox', 'radio'].includes(field.type);

// The page and the form on it: by its button, and by its first field where a page has several such buttons.
export const draftKey = (path: string, submit: string, form: HTMLFormElement): string =>
  `${path} ${submit} ${fieldsOf(form)[0]?.name ?? ''}`;

export function noteTyped(form: HTMLFormElement, key: string): void {
  typedForms.set(form, key);
}
export function forgetTyped(form: HTMLFormElement): void {
  typedForms.delete(form);
}

// Called before the forms go.
export function keepTyped(): void {
  for (const [form, key] of typedForms) {
    const draft: Draft = {};
    for (const field of fieldsOf(form)) {
      if (isTicked(field)) draft[`${field.name} ${field.value}`] = field.checked ? 'on' : '';
      else draft[field.name] = field.value;
    }
    drafts.delete(key);
    drafts.set(key, draft);
    const oldest = drafts.keys().next().value;
    if (drafts.size > draftsMax && oldest !== undefined) drafts.delete(oldest);
  }
}

export const hasDraft = (key: string): boolean => drafts.has(key);
export function dropDraft(key: string): void {
  drafts.delete(key);
}
export function dropDrafts(): void {
  drafts.clear();
}

// Fills the fields in as somebody would, so that a page which draws by them does so.
export function putBack(form: HTMLFormElement, key: string): void {
  const draft = drafts.get(key) ?? {};
  for (const field of fieldsOf(form)) {
    if (isTicked(field)) {
      if ((draft[`${field.name} ${field.value}`] === 'on') !== field.checked) field.click();
      continue;
    }
    const text = draft[field.name];
    if (text === undefined || text === field.value) continue;
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    field.dispatchEvent(new Event('change', { bubbles: true }));
  }
}
