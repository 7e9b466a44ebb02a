//! What streams have learnt, filled from history while nothing reads them: snapshots like any other, which the next
//! `scorer run` restores. Where a snapshot is there already, its places in the input stay as they are.

use std::path::Path;
use std::time::Duration;

use ::kafka::explain;
use ::kafka::rdkafka::consumer::{BaseConsumer, Consumer as _};
use ::kafka::rdkafka::error::KafkaError;
use anyhow::{Context as _, bail};
use tokio::runtime::Handle;

use super::snapshot::{Places, Snapshot};
use super::store::{Folder, Packed, Store};
use super::topic::Topic;
use super::{Learned, Stream};
use crate::config::{KafkaSettings, Settings};

/// Longest wait for a broker's answer.
const BROKER_WAIT: Duration = Duration::from_secs(10);

/// One stream, and what it learns now.
pub struct Target {
    stream: Stream,
    number: u64,
    places: Places,
    /// What it had learnt before; of a partition it tells which services are its.
    before: Option<Learned>,
    /// What it learns of history.
    pub learned: Learned,
}

impl Target {
    fn new(settings: &Settings, stream: Stream, last: Option<Snapshot>) -> Self {
        let learned = Learned::new(&settings.learn, &stream);
        let before = last.as_ref().map(|last| {
            let mut before = Learned::new(&settings.learn, &stream);
            before.restore(last);
            before
        });
        let Snapshot { number, places, .. } = last.unwrap_or_default();
        Self { stream, number, places, before, learned }
    }

    /// The stream.
    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Whether a service's lines are of this stream: all of an input's are, a partition's are those that it has had.
    pub fn has(&mut self, service: &str) -> bool {
        if matches!(self.stream, Stream::Input(_)) {
            return true;
        }
        let watch = self.before.as_mut().and_then(Learned::watch);
        watch.is_some_and(|watch| watch.detectors().event_time_of(service).is_some())
    }

    fn pack(&self) -> anyhow::Result<Packed> {
        let snapshot = Snapshot {
            stream: self.stream.to_string(),
            number: self.number + 1,
            model: self.learned.model().to_owned(),
            places: self.places.clone(),
            parts: self.learned.parts(),
        };
        Ok(Packed { stream: snapshot.stream.clone(), number: snapshot.number, bytes: snapshot.pack()? })
    }
}

/// The streams that are filled, and where their snapshots are kept.
pub struct Filling {
    store: Box<dyn Store>,
    /// The streams.
    pub targets: Vec<Target>,
}

impl Filling {
    /// The one stream of an input other than Kafka, in a folder.
    ///
    /// # Errors
    /// The folder cannot be made or read; a snapshot is there and `replace` does not say that it may go.
    pub fn of_folder(
        settings: &Settings,
        folder: &Path,
        stream: Stream,
        replace: bool,
    ) -> anyhow::Result<Self> {
        let mut store = Folder::new(folder)?;
        let last = newest(&mut store, &stream)?;
        if let Some(last) = last.as_ref().filter(|_| !replace) {
            bail!(
                "STATE_DIR = {} holds what {stream} has learnt already (snapshot {}): stop the scorer and give --replace \
                 to begin anew from these files; how far its inputs are read stays as it is",
                folder.display(),
                last.number
            );
        }
        let targets = vec![Target::new(settings, stream, last)];
        Ok(Self { store: Box::new(store), targets })
    }

    /// The partitions whose detectors have learnt something, in the compacted topic. Which service is in which
    /// partition is known from what they have had.
    ///
    /// # Errors
    /// Brokers do not answer; the group has members; nothing was learnt yet; `replace` does not say that what was learnt
    /// may go.
    pub fn of_topic(settings: &Settings, runtime: Handle, replace: bool) -> anyhow::Result<Self> {
        let kafka = &settings.kafka;
        let group = &kafka.group_id;
        let Some(name) = settings.learn.topic.clone() else {
            bail!(
                "STATE_TOPIC is empty: what is learnt of Kafka's partitions is kept nowhere, so nothing can be filled"
            );
        };
        let streams = partitions(kafka)?;
        let mut store = Topic::new(kafka.client.clone(), name.clone(), group.clone(), runtime);
        let names: Vec<String> = streams.iter().map(Stream::to_string).collect();
        store
            .prefetch(&names, &|| false)
            .map_err(anyhow::Error::msg)
            .context("STATE_TOPIC cannot be read")?;
        let mut targets = Vec::new();
        for stream in streams {
            if let Some(last) = newest(&mut store, &stream)? {
                targets.push(Target::new(settings, stream, Some(last)));
            }
        }
        if targets.is_empty() {
            bail!(
                "STATE_TOPIC = {name} holds nothing that the group {group} has learnt: let `scorer run` read lines of every \
                 service once, so that it is known which partition is whose, stop it, and come again"
            );
        }
        if !replace {
            bail!(
                "STATE_TOPIC = {name} holds what {} partitions have learnt: stop the scorers and give --replace to begin \
                 anew from these files; how far the topic is read stays as it is",
                targets.len()
            );
        }
        Ok(Self { store: Box::new(store), targets })
    }

    /// Keeps what was learnt; its bytes.
    ///
    /// # Errors
    /// It is too large, or cannot be written.
    pub fn keep(&mut self) -> anyhow::Result<usize> {
        let packed: Vec<Packed> = self.targets.iter().map(Target::pack).collect::<anyhow::Result<_>>()?;
        self.store.save(&packed, &|| false).map_err(anyhow::Error::msg)?;
        Ok(packed.iter().map(|one| one.bytes.len()).sum())
    }
}

/// The newest whole snapshot of a stream.
fn newest(store: &mut dyn Store, stream: &Stream) -> anyhow::Result<Option<Snapshot>> {
    let found = store.load(&stream.to_string(), &|| false).map_err(anyhow::Error::msg)?;
    let whole = found.iter().filter_map(|bytes| Snapshot::unpack(bytes).ok());
    Ok(whole.filter(|one| one.stream == stream.to_string()).max_by_key(|one| one.number))
}

/// The partitions whose lines detectors look at, while nobody reads them.
fn partitions(kafka: &KafkaSettings) -> anyhow::Result<Vec<Stream>> {
    let mut config = kafka.client.config();
    config.set("log_level", "0");
    let asked = || -> Result<_, KafkaError> {
        let consumer: BaseConsumer = config.create()?;
        let metadata = consumer.fetch_metadata(None, BROKER_WAIT)?;
        Ok((metadata, consumer.fetch_group_list(Some(kafka.group_id.as_str()), BROKER_WAIT)?))
    };
    let (metadata, groups) = asked().map_err(|error| anyhow::anyhow!("brokers: {}", explain(&error)))?;
    let members: usize = groups.groups().iter().map(|group| group.members().len()).sum();
    if members > 0 {
        bail!(
            "KAFKA_GROUP_ID = {} has {members} members: stop the scorers first, they write what they have learnt over this",
            kafka.group_id
        );
    }
    let watched = |topic: &str| match &kafka.detect_topic {
        Some(detected) => topic == detected,
        None => kafka.topics.iter().any(|name| name == topic),
    };
    let topics = metadata.topics().iter().filter(|topic| watched(topic.name()));
    Ok(topics
        .flat_map(|topic| {
            topic.partitions().iter().map(move |one| Stream::Partition(topic.name().into(), one.id()))
        })
        .collect())
}
