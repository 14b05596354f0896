//! The state of the server in the `OpenMetrics` format, for Prometheus and compatible programs.

pub mod server;

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

use crate::{
    control::{Status, UserStatus},
    vault::usage::Usage,
};

const BYTES: Option<Unit> = Some(Unit::Bytes);
const SECONDS: Option<Unit> = Some(Unit::Seconds);

/// Name, help and unit.
type Metric = (&'static str, &'static str, Option<Unit>);
/// A counter of a user.
type Count = fn(&UserStatus) -> u64;
/// A gauge of a user; none if the value is not known.
type Gauge = fn(&UserStatus) -> Option<u64>;

/// All metrics as text.
pub fn text(status: Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("anki_syncd");
    let version = vec![("version", status.version.clone())];
    registry.register("server", "The running server", Info::new(version));
    registry.register_collector(Box::new(Metrics(status)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Metrics(Status);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Self(status) = self;
        let gauges: [(Metric, Option<u64>); 4] = [
            (
                ("start_timestamp", "When the server started", SECONDS),
                moment(Some(status.since_secs)),
            ),
            (
                ("free", "Free space on the disk with the data", BYTES),
                status.free_bytes,
            ),
            (
                ("syncing_devices", "Devices that are syncing", None),
                Some(status.syncing as u64),
            ),
            (
                ("warnings", "Warnings in anki-syncd status", None),
                Some(status.warnings.len() as u64),
            ),
        ];
        for ((name, help, unit), value) in gauges {
            let gauge = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            if let Some(value) = value {
                ConstGauge::new(value).encode(gauge)?;
            }
        }
        let strangers = (
            "stranger_failures",
            "Failed requests without a valid login, wrong passwords included",
        );
        let (name, help) = strangers;
        let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(status.strangers.failures).encode(counter)?;
        for (metric, value) in COUNTERS {
            each(
                &mut encoder,
                metric,
                MetricType::Counter,
                &status.users,
                |user| Some(value(user)),
            )?;
        }
        for (metric, value) in GAUGES {
            each(
                &mut encoder,
                metric,
                MetricType::Gauge,
                &status.users,
                value,
            )?;
        }
        Ok(())
    }
}

/// Counted since the start of the server.
const COUNTERS: [(Metric, Count); 5] = [
    (
        ("syncs", "Completed syncs, with or without changes", None),
        |user| user.counts.syncs,
    ),
    (("failures", "Failed requests", None), |user| {
        user.counts.failures
    }),
    (("logins", "Logins of devices", None), |user| {
        user.counts.logins
    }),
    (
        ("received", "Received from devices, decompressed", BYTES),
        |user| user.counts.received_bytes,
    ),
    (
        ("sent", "Sent to devices, before compression", BYTES),
        |user| user.counts.sent_bytes,
    ),
];

/// Left out where the value is not known.
const GAUGES: [(Metric, Gauge); 7] = [
    (
        ("last_sync_timestamp", "When a device last synced", SECONDS),
        |user| moment(user.last_sync),
    ),
    (
        ("last_backup_timestamp", "When the last backup was", SECONDS),
        |user| moment(user.last_backup),
    ),
    (("devices", "Devices that are logged in", None), |user| {
        user.devices.map(|devices| devices as u64)
    }),
    (("collection", "Size of the collection", BYTES), |user| {
        size(user, |usage| usage.collection_bytes)
    }),
    (("media", "Size of the media", BYTES), |user| {
        size(user, |usage| usage.media_bytes)
    }),
    (("media_files", "Media files", None), |user| {
        size(user, |usage| usage.media_files)
    }),
    (("snapshots", "Size of the snapshots", BYTES), |user| {
        size(user, |usage| usage.own_bytes)
    }),
];

fn size(user: &UserStatus, of: fn(&Usage) -> u64) -> Option<u64> {
    user.usage.as_ref().map(of)
}

fn moment(secs: Option<i64>) -> Option<u64> {
    secs.and_then(|secs| u64::try_from(secs).ok())
}

/// One metric for each user.
fn each(
    encoder: &mut DescriptorEncoder,
    (name, help, unit): Metric,
    kind: MetricType,
    users: &[UserStatus],
    value: impl Fn(&UserStatus) -> Option<u64>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
    for user in users {
        let Some(value) = value(user) else { continue };
        let labels = [("user", user.name.as_str())];
        let of_user = family.encode_family(&labels)?;
        match kind {
            MetricType::Counter => ConstCounter::new(value).encode(of_user)?,
            _ => ConstGauge::new(value).encode(of_user)?,
        }
    }
    Ok(())
}
