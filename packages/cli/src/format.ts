/** Results as text: aligned tables for people, CSV (RFC 4180) for programs. */

export type Align = 'left' | 'right';

export interface TableColumn {
  readonly header: string;
  readonly align: Align;
}

/** Columns two spaces apart, no trailing blanks; `null` shows as NULL. */
export function table(columns: readonly TableColumn[], rows: readonly (readonly unknown[])[]): string {
  const cells = rows.map((row) => row.map(printed));
  const widths = columns.map(({ header }, index) =>
    cells.reduce((widest, row) => Math.max(widest, displayWidth(row[index] ?? '')), displayWidth(header)),
  );
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => {
        const fill = ' '.repeat((widths[index] ?? 0) - displayWidth(text));
        return columns[index]?.align === 'right' ? fill + text : text + fill;
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map(({ header }) => printed(header))), ...cells.map(line)].join('\n');
}

export function csv(headers: readonly string[], rows: readonly (readonly unknown[])[]): string {
  return [headers, ...rows].map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

/** NULL is an empty field and an empty text is `""`, so the two stay apart. */
function field(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = plain(value);
  return text === '' || /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

function printed(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  return oneLine(plain(value));
}

function plain(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Control characters would break the alignment, or the terminal. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => ESCAPES[character] ?? '\ufffd');
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

const segments = new Intl.Segmenter();
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/;

/** Columns a text takes on a terminal: two for East Asian wide characters and emoji. */
export function displayWidth(text: string): number {
  if (/^[\u0020-\u007e\u00a0-\u02ff]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segments.segment(text)) {
    if (WIDE.test(segment) || /\p{Emoji_Presentation}|\ufe0f/u.test(segment)) width += 2;
    else if (!/^[\p{Mn}\p{Me}\p{Cf}]+$/u.test(segment)) width += 1;
  }
  return width;
}
