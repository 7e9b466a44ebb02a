//! What `trainer evaluate` prints.

use crate::{run, shop, trainer, write};

#[test]
fn a_model_of_the_shop_tells_its_anomalies_from_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let logs = write(folder.path(), "logs.csv", shop(5, 8_000, 0.005, false));
    let labelled = write(folder.path(), "labelled.csv", shop(6, 4_000, 0.02, true));
    let model = folder.path().join("m");
    let (output, _, stderr) = run(trainer().arg("fit").arg("-m").arg(&model).arg(&logs));
    assert!(output.status.success(), "{stderr}");
    let (output, stdout, stderr) =
        run(trainer().args(["evaluate", "--json", "-m"]).arg(&model).arg(&labelled));
    assert!(output.status.success(), "{stderr}");
    let figures: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(figures["roc_auc"].as_f64().unwrap() > 0.95, "{figures}");
    assert!(figures["average_precision"].as_f64().unwrap() > 0.5, "{figures}");
    assert_eq!(figures["rows"], 4_000);
    let (_, stdout, _) = run(trainer().args(["evaluate", "-m"]).arg(&model).arg(&labelled));
    assert!(stdout.contains("ROC-AUC") && stdout.contains("F1 at threshold"), "{stdout}");
}

#[test]
fn logs_without_labels_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let logs = write(folder.path(), "logs.csv", shop(5, 300, 0.005, false));
    let model = folder.path().join("m");
    run(trainer().args(["fit", "--n-estimators", "10", "-m"]).arg(&model).arg(&logs));
    let (output, _, stderr) = run(trainer().args(["evaluate", "-m"]).arg(&model).arg(&logs));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("no line has a `label` column or field"), "{stderr}");
}

#[test]
fn a_missing_model_names_the_command_that_makes_one() {
    let (output, _, stderr) = run(trainer().args(["evaluate", "-m", "no/such.model", "x.csv"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("make one with: trainer fit --model-path no/such.model"), "{stderr}");
}
