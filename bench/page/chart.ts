import { CustomChart, type CustomSeriesOption, LineChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { figure, type Measurement, median, type Report, spread } from '../report.ts';

use([CustomChart, LineChart, GridComponent, SVGRenderer]);

type Shape = ReturnType<NonNullable<CustomSeriesOption['renderItem']>>;

const WIDTH = 860;
const LABELS = 300;
const ROW = 30;
/** Above this ratio between the largest and the smallest median a linear axis hides the small ones. */
const LOGARITHMIC = 30;
const COLOURS = ['#2b6cb0', '#c05621', '#2f855a', '#6b46c1', '#b83280', '#4a5568'];

/** A line of a chart. The page says which is which: text is measured only where it is read. */
export interface Series {
  readonly name: string;
  readonly colour: string;
  /** Colours come twice, the second time dashed. */
  readonly dashed: boolean;
}

/** A drawing, and the lines in it. */
export interface Chart {
  readonly title: string;
  readonly svg: string;
  readonly series: readonly Series[];
}

/** The charts of a report, as SVG: one for each unit, and one for each unit of what has an x. */
export function charts(report: Report): Chart[] {
  const units = [...new Set(report.measurements.map(({ unit }) => unit))];
  return units.flatMap((unit) => {
    const ours = report.measurements.filter((one) => one.unit === unit && one.samples.length > 0);
    const points = ours.filter(({ x }) => x !== undefined);
    const bars = ours.filter(({ x }) => x === undefined);
    const title = unitTitle(unit);
    return [
      ...(bars.length > 0 ? [{ title, svg: bar(bars, unit), series: [] }] : []),
      ...(points.length > 0
        ? [{ title: `${title} by ${report.x ?? 'x'}`, ...lines(points, unit, report) }]
        : []),
    ];
  });
}

function unitTitle(unit: string): string {
  return unit === '×' ? 'ratio, ×' : unit;
}

/** A row for each measurement: the median as a bar or, on a logarithmic axis, a dot; and the spread. */
function bar(measurements: readonly Measurement[], unit: string): string {
  const rows = measurements.map(({ samples }): [number, number, number] => {
    const [low, high] = spread(samples);
    return [low, median(samples), high];
  });
  const smallest = Math.min(...rows.map(([, middle]) => middle));
  const largest = Math.max(...rows.map(([, middle]) => middle));
  const isLog = Math.min(...rows.map(([least]) => least)) > 0 && largest / smallest > LOGARITHMIC;
  const series: CustomSeriesOption = {
    type: 'custom',
    silent: true,
    data: rows.map((row, index) => [...row, index]),
    encode: { x: [0, 1, 2], y: 3 },
    renderItem: (_, api) => {
      const y = (api.coord([api.value(1), api.value(3)]) as number[])[1]!;
      const [least, middle, most] = [0, 1, 2].map(
        (dimension) => (api.coord([api.value(dimension), 0]) as number[])[0]!,
      ) as [number, number, number];
      const zero = isLog ? middle : (api.coord([0, 0]) as number[])[0]!;
      const whisker = { stroke: '#1a202c', lineWidth: 1.5 };
      const line = (x1: number, y1: number, x2: number, y2: number) =>
        ({ type: 'line', shape: { x1, y1, x2, y2 }, style: whisker }) as const;
      return {
        type: 'group',
        children: [
          isLog
            ? { type: 'circle', shape: { cx: middle, cy: y, r: 5 }, style: { fill: COLOURS[0] } }
            : {
                type: 'rect',
                shape: { x: zero, y: y - 8, width: Math.max(middle - zero, 1), height: 16 },
                style: { fill: COLOURS[0] },
              },
          line(least, y, most, y),
          line(least, y - 5, least, y + 5),
          line(most, y - 5, most, y + 5),
          {
            type: 'text',
            style: {
              text: figure(Number(api.value(1))),
              x: Math.max(most, middle + 5) + 6,
              y,
              textVerticalAlign: 'middle',
              fill: '#1a202c',
              fontSize: 12,
            },
          },
        ],
      } as Shape;
    },
  };
  return render(measurements.length * ROW + 60, {
    grid: { left: LABELS, right: 80, top: 6, bottom: 46 },
    xAxis: {
      type: isLog ? 'log' : 'value',
      name: `${unitTitle(unit)}${isLog ? ', logarithmic' : ''}`,
      nameLocation: 'middle',
      nameGap: 28,
    },
    yAxis: {
      type: 'category',
      inverse: true,
      data: measurements.map(({ name }) => name),
      axisTick: { show: false },
      axisLabel: { width: LABELS - 16, overflow: 'break', color: '#1a202c', interval: 0 },
    },
    series: [series],
  });
}

/** A line through the medians for each series, with the spread at each point. */
function lines(
  measurements: readonly Measurement[],
  unit: string,
  report: Report,
): Omit<Chart, 'title'> {
  const nameOf = ({ series, name }: Measurement): string => series ?? name;
  // A name has the same colour in every chart of a report.
  const all = [...new Set(report.measurements.filter(({ x }) => x !== undefined).map(nameOf))];
  const legend = [...new Set(measurements.map(nameOf))].map((name) => ({
    name,
    colour: COLOURS[all.indexOf(name) % COLOURS.length]!,
    dashed: all.indexOf(name) >= COLOURS.length,
  }));
  const xs = [...new Set(measurements.map(({ x }) => x!))].sort((a, b) => a - b);
  const labels = xs.map((x) => measurements.find((one) => one.x === x)?.xLabel ?? String(x));
  const medians = measurements.map(({ samples }) => median(samples));
  const isLog =
    Math.min(...medians) > 0 && Math.max(...medians) / Math.min(...medians) > LOGARITHMIC;
  const series = legend.flatMap(({ name, colour: color, dashed }) => {
    const own = measurements.filter((one) => nameOf(one) === name);
    const points = own.map(({ x, samples }) => [xs.indexOf(x!), median(samples)]);
    const range: CustomSeriesOption = {
      type: 'custom',
      silent: true,
      name,
      data: own.map(({ x, samples }) => [xs.indexOf(x!), ...spread(samples)]),
      encode: { x: 0, y: [1, 2] },
      renderItem: (_, api) => {
        const [x, y1] = api.coord([api.value(0), api.value(1)]) as [number, number];
        const y2 = (api.coord([api.value(0), api.value(2)]) as number[])[1]!;
        return {
          type: 'line',
          shape: { x1: x, y1, x2: x, y2 },
          style: { stroke: color, lineWidth: 1.5, opacity: 0.6 },
        };
      },
    };
    return [
      {
        type: 'line' as const,
        silent: true,
        name,
        data: points,
        color,
        lineStyle: { type: dashed ? ('dashed' as const) : ('solid' as const) },
        symbol: 'circle',
        symbolSize: 7,
      },
      range,
    ];
  });
  const svg = render(360, {
    grid: { left: 80, right: 30, top: 34, bottom: 50 },
    xAxis: {
      type: 'category',
      data: labels,
      name: report.x ?? 'x',
      nameLocation: 'middle',
      nameGap: 28,
      axisLabel: { interval: 0 },
    },
    yAxis: { type: isLog ? 'log' : 'value', name: unitTitle(unit), axisLine: { show: true } },
    series,
  });
  return { svg, series: legend };
}

function render(height: number, option: object): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  chart.setOption({ animation: false, backgroundColor: '#fff', ...option });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
