//! From facts to the text that Prometheus reads.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{Health, Meters, NodeFacts};

/// Names and values that tell the series of one metric apart.
pub type Labels = Vec<(&'static str, String)>;

/// One metric at the moment of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name, without the `_total` of a counter.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// Its series.
    pub value: Value,
}

/// The series of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// What only grows, since the start.
    Counter(Vec<(Labels, u64)>),
    /// What is now.
    Gauge(Vec<(Labels, f64)>),
}

impl Sample {
    /// A counter without labels.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, count: u64) -> Self {
        Self { name, help, value: Value::Counter(vec![(Vec::new(), count)]) }
    }

    /// A gauge without labels.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, value: Value::Gauge(vec![(Vec::new(), value)]) }
    }

    /// 1 or 0.
    #[must_use]
    pub fn flag(name: &'static str, help: &'static str, is_set: bool) -> Self {
        Self::gauge(name, help, if is_set { 1.0 } else { 0.0 })
    }
}

/// Everything that a scrape shows.
pub(super) fn registry(facts: Arc<dyn NodeFacts>, meters: Option<&Meters>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(facts)));
    if let Some(meters) = meters {
        meters.judge.register(&mut registry);
        meters.rpc.register(&mut registry);
    }
    registry
}

/// Asks the facts at every scrape.
#[derive(Debug)]
struct Scrape(Arc<dyn NodeFacts>);

impl Scrape {
    fn score(&self) -> Sample {
        let fit = Health::of(&self.0.services()) != Health::Unhealthy;
        let score = if fit { 100.0 * self.0.performance().clamp(0.0, 1.0) } else { 0.0 };
        Sample::gauge(
            "eigen_performance_score",
            "From 0 to 100: 0 while a vital service is down, else the part of its work that the node \
             did",
            score,
        )
    }

    fn build() -> Sample {
        let labels = vec![("version", crate::VERSION.to_owned())];
        let value = Value::Gauge(vec![(labels, 1.0)]);
        Sample { name: "proofgrid_build", help: "1, with the build's version", value }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let own = [self.score(), Self::build()];
        for sample in own.into_iter().chain(self.0.samples()) {
            write(&mut encoder, sample)?;
        }
        Ok(())
    }
}

fn write(encoder: &mut DescriptorEncoder, sample: Sample) -> Result<(), fmt::Error> {
    let Sample { name, help, value } = sample;
    match value {
        Value::Counter(series) => {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            write_series(metric, series, ConstCounter::new)
        }
        Value::Gauge(series) => {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            write_series(metric, series, ConstGauge::new)
        }
    }
}

fn write_series<T, M: EncodeMetric>(
    mut metric: MetricEncoder,
    series: Vec<(Labels, T)>,
    made: impl Fn(T) -> M,
) -> Result<(), fmt::Error> {
    for (labels, value) in series {
        if labels.is_empty() {
            // It is the only one; as a family of none it would be written with `{}`.
            return made(value).encode(metric);
        }
        made(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
