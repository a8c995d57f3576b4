//! The deterministic vectors, live and four times slower: who went where is exact, only times carry jitter.

use galton_tests::Galton;
use galton_tests::vector::{ALL, Vector};

#[test]
fn every_vector_holds_live() {
    std::thread::scope(|scope| {
        for text in ALL {
            scope.spawn(move || {
                let vector = Vector::parse(text);
                let galton = Galton::new(env!("CARGO_BIN_EXE_galton-under-test"));
                let run = galton.run(vector.scenario(), &["--time-scale", "0.25"]);
                assert_eq!(vector.differences(&run), Vec::<String>::new());
            });
        }
    });
}
