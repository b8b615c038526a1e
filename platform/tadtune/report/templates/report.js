(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const template = () => {
    const axis = {
      gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line"),
      tickcolor: colour("--line"), tickfont: { color: colour("--ink") }, title: { font: { color: colour("--muted") } },
    };
    return {
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
        font: { color: colour("--ink"), size: 13, family: getComputedStyle(document.body).fontFamily },
        hoverlabel: {
          bgcolor: colour("--card"), bordercolor: colour("--muted"), font: { color: colour("--ink") }, align: "left",
        },
      },
    };
  };
  const plots = [...document.querySelectorAll(".plot")];
  for (const plot of plots) {
    const spec = JSON.parse(document.getElementById(`${plot.id}-spec`).textContent);
    Plotly.newPlot(plot, spec.data, { ...spec.layout, template: template() }, { responsive: true, displayModeBar: false });
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => plots.forEach((plot) => Plotly.relayout(plot, { template: template() })));
})();
