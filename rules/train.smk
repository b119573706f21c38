"""From clips to models, where the configuration has `trainings`.

REQUIRES the folders that a training reads, and models that it starts from
MAKES    work/trainings/NAME/model.json, the weights beside it; a checkpoint and a log on the way

What is trained lies beside the splits, as it belongs to none of them.
"""

TRAINED = f"{PLAN.home}/trainings/{{training}}/model.json"


rule finetune:
    """Train one model; goes on from its checkpoint after a kill."""
    message:
        "finetune {wildcards.training}"
    input:
        lambda wildcards: PLAN.trained("trainings", wildcards.training),
    output:
        TRAINED,
    log:
        f"{PLAN.home}/logs/trainings/{{training}}.log",
    params:
        settings=lambda wildcards: CONFIG.training(wildcards.training),
        folder=str(Path(TRAINED).parent),
        version=lambda wildcards: PLAN.training_version(wildcards.training),
    threads: lambda wildcards: CONFIG.trainings[wildcards.training].get("gpus", 1)
    resources:
        gpu=lambda wildcards: CONFIG.trainings[wildcards.training].get("gpus", 1),
    shell:
        "{PYTHON:q} -m kit train --settings {params.settings:q} --processes {resources.gpu} --output {params.folder:q} > {log:q} 2>&1"
