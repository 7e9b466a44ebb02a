//! Writes the model that the page holds: `cargo run --release -p playground --example train > playground/model.isolog`.

use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = playground::train()?;
    Ok(std::io::stdout().lock().write_all(&model)?)
}
