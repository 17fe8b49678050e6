const EIGHTHS = ['', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

/**
 * A chart of bars, one character wide each, newest right: lines from the top to the bottom.
 * @param values from 0 to `max`; what is above is drawn as `max`
 * @param max what fills the chart's height
 */
export function chartLines(
  values: readonly number[],
  max: number,
  width: number,
  height: number,
): readonly string[] {
  const shown = values.slice(-width);
  return Array.from({ length: height }, (_, row) => {
    const floor = (height - 1 - row) * 8;
    const bars = shown.map((value) => {
      const eighths = max > 0 ? Math.round((Math.min(value, max) / max) * height * 8) : 0;
      const here = Math.min(8, Math.max(0, eighths - floor));
      // Something that is almost nothing is seen all the same, at the bottom.
      return EIGHTHS[here === 0 && floor === 0 && value > 0 ? 1 : here] || ' ';
    });
    return ' '.repeat(width - shown.length) + bars.join('');
  });
}
