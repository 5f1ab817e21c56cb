//! Every message of every service: protobuf bytes to core types and back.

use std::fmt::Debug;

use proofgrid_core::certificate::{
    Certificate, JobCertificate, JobEvidence, TrustedEpoch, VerifiedJob,
};
use proofgrid_core::epoch::EpochTable;
use proofgrid_core::ids::ChainId;
use proofgrid_core::statement::OpenedStatement;
use proofgrid_proto::convert::{
    ConvertError, OracleMessage, OracleOrder, ProverMessage, ProverOrder, ReportedEvent,
    SettleOrder, VerifierMessage, VerifierOrder,
};
use proofgrid_proto::v1;
use prost::Message;

use proofgrid_fuzz::{Outcome, Shape, Target, corpus};

fn certificate_files() -> Vec<JobCertificate> {
    let read = |bytes: Vec<u8>| JobCertificate::from_json(std::str::from_utf8(&bytes).ok()?).ok();
    corpus("certificate-json").into_iter().filter_map(read).collect()
}

/// What is taken from the wire goes out and comes back as the same value.
fn converts<W, C>(name: &'static str, executions: u64, seeds: Vec<C>)
where
    W: Message + Default + Clone + From<C>,
    C: TryFrom<W, Error = ConvertError> + Clone + Debug,
{
    let memory = (256 << 10, 256);
    let target = Target { memory, ..Target::new(name, Shape::Proto, executions) };
    let seeds = seeds.into_iter().map(|seed| W::from(seed).encode_to_vec()).collect();
    target.run(seeds, |input| {
        let wire = match W::decode(input) {
            Ok(wire) => wire,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let converted = match C::try_from(wire) {
            Ok(converted) => converted,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let again = W::decode(W::from(converted.clone()).encode_to_vec().as_slice())
            .expect("what goes out is protobuf");
        let again = C::try_from(again).expect("what goes out is taken");
        assert_eq!(format!("{converted:?}"), format!("{again:?}"));
        Outcome::Accepted
    });
}

#[test]
fn prover_session_up() {
    converts::<v1::ProverServiceSessionRequest, ProverMessage>("prover-up", 30_000, Vec::new());
}

#[test]
fn prover_session_down() {
    converts::<v1::ProverServiceSessionResponse, ProverOrder>("prover-down", 30_000, Vec::new());
}

#[test]
fn verifier_session_up() {
    converts::<v1::VerifierServiceSessionRequest, VerifierMessage>(
        "verifier-up",
        30_000,
        Vec::new(),
    );
}

#[test]
fn verifier_session_down() {
    converts::<v1::VerifierServiceSessionResponse, VerifierOrder>(
        "verifier-down",
        20_000,
        Vec::new(),
    );
}

#[test]
fn oracle_session_up() {
    let chain = ChainId::new(1);
    let mut seeds = vec![
        OracleMessage::Register { chain, version: "1".into() },
        OracleMessage::Heartbeat { sequence: 7 },
    ];
    for bytes in corpus("chain-event") {
        let news = v1::ChainEvent::decode(bytes.as_slice()).expect("a message of the corpus");
        seeds.push(OracleMessage::Event(ReportedEvent { event_id: 9, news }));
    }
    converts::<v1::OracleServiceSessionRequest, OracleMessage>("oracle-up", 20_000, seeds);
}

#[test]
fn oracle_session_down() {
    let mut seeds = vec![
        OracleOrder::Registered,
        OracleOrder::HeartbeatAck { sequence: 7 },
        OracleOrder::Ack { event_id: 9, refused: None },
    ];
    let table = corpus("epoch-json").remove(0);
    let table = EpochTable::from_json(&String::from_utf8_lossy(&table)).expect("of the corpus");
    for file in certificate_files() {
        let verified = file.verify(&table, TrustedEpoch::NotAnchored).expect("of the corpus");
        let VerifiedJob { leaf_index, path, .. } = verified.1;
        let JobEvidence { job, statement, segments } = file.evidence;
        let certificate = file.certificate;
        let (id, boxed) = (certificate.id(), Box::new(certificate.clone()));
        seeds.push(OracleOrder::SubmitCertificate { id, certificate: boxed });
        seeds.push(OracleOrder::SettleJob(Box::new(SettleOrder {
            task_manager: job.target,
            spec: job,
            opened: OpenedStatement { statement, records: segments },
            certificate,
            leaf_index,
            path,
        })));
    }
    converts::<v1::OracleServiceSessionResponse, OracleOrder>("oracle-down", 6_000, seeds);
}

#[test]
fn chain_events() {
    let memory = (256 << 10, 256);
    let target = Target { memory, ..Target::new("chain-event", Shape::Proto, 4_000) };
    target.run(Vec::new(), |input| {
        let news = match v1::ChainEvent::decode(input) {
            Ok(news) => news,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let event = ReportedEvent { event_id: 9, news };
        match event.read(ChainId::new(1)) {
            Ok(news) => {
                let again = ReportedEvent { event_id: 9, news: news.clone().into_event(9) };
                let again = again.read(ChainId::new(1)).expect("what goes out is taken");
                assert_eq!(format!("{news:?}"), format!("{again:?}"));
                Outcome::Accepted
            }
            Err(error) => Outcome::Refused(error.to_string()),
        }
    });
}

#[test]
fn certificates() {
    let encode = |file: JobCertificate| v1::Certificate::from(&file.certificate).encode_to_vec();
    let seeds = certificate_files().into_iter().map(encode).collect();
    Target::new("certificate-proto", Shape::Proto, 10_000).run(seeds, |input| {
        let wire = match v1::Certificate::decode(input) {
            Ok(wire) => wire,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let converted = Certificate::try_from(wire);
        if let Ok(certificate) = &converted {
            let again = Certificate::try_from(v1::Certificate::from(certificate));
            assert_eq!(again.as_ref(), Ok(certificate));
        }
        Outcome::from(converted)
    });
}
